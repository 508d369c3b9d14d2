"""The service that requests are sent to, and their bodies."""

from __future__ import annotations

import json
import random
import urllib.request
from dataclasses import dataclass
from typing import Any


@dataclass
class Target:
    """The service's base URL, and the Host header if it differs from the URL's."""

    url: str
    host: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        return {"Host": self.host} if self.host else {}

    def model(self) -> dict[str, Any]:
        """Return the description of the served model.

        Raises
        ------
        urllib.error.URLError
            The service does not answer.
        """
        request = urllib.request.Request(f"{self.url.rstrip('/')}/model", headers=self.headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return dict(json.load(answer))

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
