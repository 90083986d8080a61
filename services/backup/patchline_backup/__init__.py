"""Backs a wave up and restores each backup once before it counts."""
