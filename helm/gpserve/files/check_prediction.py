"""What `helm test` runs: the service must answer what GPy answered when the model was trained."""

import io
import json
import sys
import urllib.request

import numpy as np

base = sys.argv[1]
with urllib.request.urlopen(f"{base}/model.npz", timeout=30) as answer:
    model = np.load(io.BytesIO(answer.read()), allow_pickle=False)
points, known = model["reference_X"], model["reference_answers"]

body = json.dumps({"points": points.tolist()}).encode()
request = urllib.request.Request(
    f"{base}/predict", data=body, headers={"Content-Type": "application/json"}
)
with urllib.request.urlopen(request, timeout=30) as answer:
    got = json.load(answer)

np.testing.assert_allclose(np.column_stack([got["mean"], got["variance"]]), known, rtol=1e-8)
print(f"{len(points)} predictions equal the known answers, first mean {got['mean'][0]:.12g}")
