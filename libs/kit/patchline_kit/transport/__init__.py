"""Records on topics: the port, and its adapters for Kafka and for one machine."""
