"""Applies an update to a wave and rolls it back."""
