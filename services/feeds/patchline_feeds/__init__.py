"""Validates what vendors publish."""
