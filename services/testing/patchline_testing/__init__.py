"""Tries an update in a disposable copy of a real target."""
