"""The HTTP API over read models built from the topics."""
