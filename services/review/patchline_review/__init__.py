"""Looks at each ended update for late, failed and unplanned."""
