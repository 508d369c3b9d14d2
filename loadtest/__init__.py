"""Load tests: how the service and its cluster respond to a given load."""
