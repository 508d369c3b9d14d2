"""`make verify`: the numbers of the service beside the truth, written to docs/accuracy.md."""
