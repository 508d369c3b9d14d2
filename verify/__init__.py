"""`make verify`: the numbers of the service beside the truth, written to docs/accuracy.md.

Each module with a function ``sections() -> list[Section]`` is a part of the page.
"""
