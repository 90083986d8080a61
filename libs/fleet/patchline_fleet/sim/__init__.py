"""The driver for a simulated fleet (``driver: sim``): thousands of targets in one folder, with set faults.

Nothing here is real, and every answer says so: ``sim`` stands in the runtime, in notes and in outputs.
"""
