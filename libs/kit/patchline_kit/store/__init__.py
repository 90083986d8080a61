"""Documents at rest: the port, and its adapters."""
