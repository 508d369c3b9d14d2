"""The same prediction behind FastAPI: `uvicorn bench.peers.fastapi_server:app`."""

import os
from pathlib import Path

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from service.gpr import GPR

model = GPR.load(Path(os.environ["BENCH_MODEL"]))
app = FastAPI()


class Point(BaseModel):
    """The model's inputs."""

    x1: float
    x2: float
    x3: float
    x4: float


class Prediction(BaseModel):
    """The model's answer at a point."""

    mean: float
    variance: float


# On the event loop: FastAPI would send a plain function to a thread, which is slower.
@app.post("/predict")  # type: ignore[untyped-decorator]
async def predict(point: Point) -> Prediction:
    """Predict mean and variance."""
    X = np.array([[point.x1, point.x2, point.x3, point.x4]])
    mean, variance = model.predict(X)[0].tolist()
    return Prediction(mean=mean, variance=variance)
