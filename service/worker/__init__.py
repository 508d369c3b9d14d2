"""The worker process: takes jobs from the queue and computes them."""
