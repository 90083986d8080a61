"""The ledger and a report per update."""
