"""Targets: the driver port and its drivers, the fleet file, backups, runs over a wave."""
