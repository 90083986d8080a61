"""Checks that a version is really in effect, and stays well."""
