"""The fleet file: YAML that says which targets there are and how their groups want to be patched."""

from patchline_fleet.fleetfile.problems import FleetFileError, Problem
from patchline_fleet.fleetfile.reader import FleetFile, read_fleet_file

__all__ = ["FleetFile", "FleetFileError", "Problem", "read_fleet_file"]
