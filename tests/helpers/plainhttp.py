"""httpx for local addresses, with long timeouts.

Without `verify=False`, loading the TLS certificate authorities costs 17 ms per client.
"""

from __future__ import annotations

from functools import partial

import httpx

from tests.helpers.patience import PATIENCE_SECONDS

get = partial(httpx.get, verify=False, timeout=PATIENCE_SECONDS)
post = partial(httpx.post, verify=False, timeout=PATIENCE_SECONDS)
delete = partial(httpx.delete, verify=False, timeout=PATIENCE_SECONDS)
request = partial(httpx.request, verify=False, timeout=PATIENCE_SECONDS)
Client = partial(httpx.Client, verify=False, timeout=PATIENCE_SECONDS)
