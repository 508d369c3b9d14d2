"""The article's design, GPy's own model in Flask: `gunicorn bench.peers.article:app`."""

import os
import pickle
from pathlib import Path

import flask
import numpy as np

model = pickle.loads(Path(os.environ["BENCH_MODEL"]).with_suffix(".pickle").read_bytes())
app = flask.Flask(__name__)


@app.post("/predict")
def predict() -> flask.Response:
    """Predict mean and variance."""
    values = flask.request.get_json()
    X = np.array([[values[name] for name in ("x1", "x2", "x3", "x4")]])
    mean, variance = model.predict(X)
    return flask.jsonify(mean=mean.item(), variance=variance.item())
