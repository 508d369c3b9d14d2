"""One serving process: the live model, batching, metrics, probes and logs."""
