"""Server, worker and a private Valkey on one machine: what `make run` starts."""
