"""The protocols that other people's clients speak."""
