"""Versions of the model: stored for good, listed, activated, followed by every replica."""
