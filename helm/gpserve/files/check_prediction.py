"""The check of `helm test`: the service gives the answers that GPy gave after the training."""

import io
import json
import sys
import time
import urllib.error
import urllib.request

import numpy as np

base = sys.argv[1]
for left in range(30, -1, -1):
    try:
        with urllib.request.urlopen(f"{base}/model.npz", timeout=30) as answer:
            model = np.load(io.BytesIO(answer.read()), allow_pickle=False)
        break
    except urllib.error.HTTPError:
        raise
    except OSError:  # a node needs a moment to learn of a new Service's pods
        if not left:
            raise
        time.sleep(1)
points, known = model["reference_X"], model["reference_answers"]

body = json.dumps({"points": points.tolist()}).encode()
request = urllib.request.Request(
    f"{base}/predict", data=body, headers={"Content-Type": "application/json"}
)
with urllib.request.urlopen(request, timeout=30) as answer:
    got = json.load(answer)

# A variance is computed as a difference from the prior variance, which scales its rounding error.
variances = sum(float(model[name]) for name in model.files if name.startswith("variance_"))
prior = float(model["output_scale"]) ** 2 * (variances + float(model["noise_variance"]))
np.testing.assert_allclose(got["mean"], known[:, 0], rtol=1e-8, atol=1e-8 * prior**0.5)
np.testing.assert_allclose(got["variance"], known[:, 1], rtol=0, atol=1e-8 * prior)
print(f"{len(points)} predictions equal the known answers, first mean {got['mean'][0]:.12g}")
