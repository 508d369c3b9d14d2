"""httpx for local addresses, with long timeouts.

Without `verify=False`, loading the TLS certificate authorities costs 17 ms per client.
"""

from __future__ import annotations

import ssl
from functools import partial

import httpx

from tests.helpers.patience import PATIENCE_SECONDS

_PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

get = partial(httpx.get, verify=_PLAIN, trust_env=False, timeout=PATIENCE_SECONDS)
post = partial(httpx.post, verify=_PLAIN, trust_env=False, timeout=PATIENCE_SECONDS)
delete = partial(httpx.delete, verify=_PLAIN, trust_env=False, timeout=PATIENCE_SECONDS)
request = partial(httpx.request, verify=_PLAIN, trust_env=False, timeout=PATIENCE_SECONDS)
Client = partial(httpx.Client, verify=_PLAIN, trust_env=False, timeout=PATIENCE_SECONDS)
