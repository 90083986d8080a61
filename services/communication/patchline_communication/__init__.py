"""Tells people, ahead and after."""
