"""Python client of gpserve: ``gp = Client("http://localhost:5000"); gp.predict(X)``."""

from gpserve_client.aio import AsyncClient, AsyncJob
from gpserve_client.answers import Gradient, JobStatus, ModelInfo, Prediction
from gpserve_client.client import Client, Job
from gpserve_client.errors import JobFailed, ServiceError, VersionChanged
from gpserve_client.options import JobOptions, Options, TrainingOptions

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "Client",
    "Gradient",
    "Job",
    "JobFailed",
    "JobOptions",
    "JobStatus",
    "ModelInfo",
    "Options",
    "Prediction",
    "ServiceError",
    "TrainingOptions",
    "VersionChanged",
]
