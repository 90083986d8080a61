"""The only owner of schedule and gating."""
