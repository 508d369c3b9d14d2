"""Load tests: a given offered load, and what the service and its cluster make of it."""
