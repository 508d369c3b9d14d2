"""The check of `helm test`: the service gives the answers that GPy gave after the training."""

from __future__ import annotations

import io
import json
import os
import sys
import time
import urllib.error
import urllib.request

import numpy as np

base, token = sys.argv[1], os.environ.get("GPSERVE_TOKEN")


def ask(path: str, body: bytes | None = None) -> bytes:
    """Return what the service answers."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(base + path, data=body, headers=headers)
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        content: bytes = answer.read()
    return content


for left in range(30, -1, -1):
    try:
        ask("/readyz")
        break
    except urllib.error.HTTPError:
        raise
    except OSError:  # a node needs a moment to learn of a new Service's pods
        if not left:
            raise
        time.sleep(1)
try:
    model = np.load(io.BytesIO(ask("/model.npz")), allow_pickle=False)
    points, known = model["reference_X"], model["reference_answers"]
    got = json.loads(ask("/predict", json.dumps({"points": points.tolist()}).encode()))
except urllib.error.HTTPError as error:
    if token or error.code not in (401, 403):
        raise
    print("ready; its answers are not compared, since that takes a key (jobs.tokenSecret)")
    sys.exit()

# A variance is computed as a difference from the prior variance, which scales its rounding error.
variances = sum(float(model[name]) for name in model.files if name.startswith("variance_"))
prior = float(model["output_scale"]) ** 2 * (variances + float(model["noise_variance"]))
np.testing.assert_allclose(got["mean"], known[:, 0], rtol=1e-8, atol=1e-8 * prior**0.5)
np.testing.assert_allclose(got["variance"], known[:, 1], rtol=0, atol=1e-8 * prior)
print(f"{len(points)} predictions equal the known answers, first mean {got['mean'][0]:.12g}")
