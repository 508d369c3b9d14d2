"""The worker pod: takes jobs from the queue and computes them."""
