"""Knows the fleet and says what an update means for it."""
