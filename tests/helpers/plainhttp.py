"""httpx for addresses on this machine, with patience.

Without `verify=False` reading the authorities of TLS costs 17 ms a client.
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
