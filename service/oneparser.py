"""One thread at a time parses what NumPy wrote."""

from __future__ import annotations

import threading

one_parser = threading.Lock()
"""NumPy parses each array's header as Python, which no two threads may do before CPython 3.11.8:
one of them gets a SystemError (gh-106905)."""
