"""What the command's exit code says. A contract; see docs/cli.md."""

DONE = 0
FAILED = 1
"""The work failed, or is not possible in this state."""
WRONG_USE = 2
"""Wrong use, or input that is refused."""
POLICY = 3
"""A policy refuses."""
UNREACHABLE = 4
"""No Patchline can be reached."""
STILL_RUNNING = 5
"""The time is over and the work goes on."""
