"""The service that requests are sent to, and their bodies."""

from __future__ import annotations

import json
import random
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError

_NOT_YET = (404, 502, 503, 504)
"""What an ingress answers while it does not know the path, or any pod that is ready."""

_PAUSE_SECONDS = 0.5


@dataclass
class Target:
    """The service's base URL, the Host header if it differs from the URL's, and a key."""

    url: str
    host: str = ""
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        key = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return key | ({"Host": self.host} if self.host else {})

    def model(self) -> dict[str, Any]:
        """Return the description of the served model.

        Raises
        ------
        urllib.error.URLError
            The service does not answer.
        """
        request = urllib.request.Request(f"{self.url.rstrip('/')}/model")
        for name, value in self.headers.items():  # which are for this server alone
            request.add_unredirected_header(name, value)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return dict(json.load(answer))

    def wait(self, seconds: float, say: Callable[[str], object]) -> None:
        """Wait until the service describes its model, as it will once an ingress knows its pods.

        Parameters
        ----------
        seconds : how long at most; at the end the last error is raised
        say : called once with what is waited for, and why, if the first try fails

        Raises
        ------
        OSError
            The service does not answer in time, or refuses.
        """
        end = time.monotonic() + seconds
        said = False
        while True:
            try:
                self.model()
                return
            except (OSError, ValueError) as error:
                refused = isinstance(error, HTTPError) and error.code not in _NOT_YET
                if refused or time.monotonic() >= end:
                    raise
                if not said:
                    say(f"waiting up to {seconds:.0f} s for {self.url}/model: {error}")
                said = True
            time.sleep(_PAUSE_SECONDS)

    def bodies(self, count: int, points: int, seed: int = 1) -> list[str]:
        """Return request bodies with random points from the model's training range."""
        model, draw = self.model(), random.Random(seed)
        ranges, categories = model["training_range"], model.get("categories", {})

        def point() -> dict[str, float | str]:
            numbers = {name: draw.uniform(*ends) for name, ends in ranges.items()}
            return numbers | {name: draw.choice(words) for name, words in categories.items()}

        def body() -> object:
            if points == 1:
                return point()
            return {"points": [list(point().values()) for _ in range(points)]}

        return [json.dumps(body()) for _ in range(count)]
