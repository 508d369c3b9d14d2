"""The process that computes, apart from the one that talks to the queue.

It can be killed at any moment: that is how a running job is cancelled within two seconds whatever
library it is in, and why a crash of a library costs a chunk and not the worker.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
import traceback
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from service.jobs import specs
from service.jobs.blobs import Job
from service.jobs.plans import make_plan, read_plan, rows_of_chunk, write_plan
from service.jobs.results import compute_chunk
from service.jobs.specs import BEGIN, INPUT, Prediction, Training
from service.jobs.training import read_table
from service.model import FloatArray, Model
from service.runtime.live import model_class
from service.runtime.pool import TilePool, cpu_limit, threads_for
from service.services.prediction import (
    Limits,
    refuse_large_covariance,
    refuse_many_samples,
)
from service.services.problems import Problem, unusable
from service.settings import Settings
from service.storage import open_blobs
from service.storage.blobs import BlobMissing, Blobs
from service.storage.versions import Versions
from service.worker.messages import (
    Broken,
    Computed,
    Message,
    Planned,
    Refused,
    Task,
    Told,
    Trained,
    decode_task,
    encode,
)

_MODELS = 2
"""Versions that stay in memory: that of the last jobs and the one before."""


def main(connection: Connection) -> None:
    """Do one task after another, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is asked as well, and stops us
    threading.Thread(target=_die_with_parent, daemon=True).start()
    threadpool_limits(1, "blas")
    computer = Computer(Settings.from_environ(), connection)
    while True:
        task = decode_task.decode(connection.recv_bytes())
        connection.send_bytes(encode(computer.answer(task)))


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class Computer:
    """Plans, predicts and trains, with the models that it has met."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._settings = settings
        self._connection = connection
        self._blobs: Blobs = open_blobs(settings.store_url, patient=True)
        self._versions = Versions(self._blobs)
        self._models: dict[str, Model] = {}
        self._pool = TilePool()
        self._limits = Limits(settings.max_covariance_points, settings.max_sample_values)

    def answer(self, task: Task) -> Message:
        """The end of a task, good or bad."""
        try:
            return self._do(task)
        except Problem as problem:
            return Refused(problem.status, problem.detail, problem.document())
        except BlobMissing as missing:
            document = Problem(410, f"the input is gone: {missing}").document()
            return Refused(410, "the input is gone", document)
        except Exception as error:
            return Broken(f"{type(error).__name__}: {error}", traceback.format_exc())

    def _do(self, task: Task) -> Message:
        spec = specs.decode(task.spec)
        job = Job(self._blobs, task.id)
        if isinstance(spec, Training):
            return self._train(job, spec)
        model = self._model(spec.version)
        if task.chunk == BEGIN:
            return self._begin(job, spec, model)
        plan = read_plan(job)
        return Computed(
            compute_chunk(job, plan, spec, task.chunk, model, self._predict, self._limits)
        )

    def _begin(self, job: Job, spec: Prediction, model: Model) -> Message:
        rows = rows_of_chunk(model, spec.options, self._predict, self._settings.chunk_seconds)
        plan = make_plan(job, spec, model, rows, self._settings.max_points)
        refuse_many_samples(spec.options, plan.rows, self._limits)
        if spec.options.covariance:
            refuse_large_covariance(plan.rows, self._limits)
        write_plan(job, plan)
        if len(plan.parts) > 1:
            return Planned(plan.rows, len(plan.parts), False)
        compute_chunk(job, plan, spec, 0, model, self._predict, self._limits)
        return Planned(plan.rows, 1, True)

    def _predict(self, model: Model, X: FloatArray, noise: bool) -> FloatArray:
        if len(X) < model.large_tile:
            return model.predict(X, noise=noise)
        return self._pool.predict(model, X, noise)

    def _model(self, version: str) -> Model:
        if version not in self._models:
            while len(self._models) >= _MODELS:
                del self._models[next(iter(self._models))]
            path = self._versions.fetch(version)
            self._models[version] = model_class(self._settings.model_class).load(path)
        return self._models[version]

    def _train(self, job: Job, spec: Training) -> Message:
        from service.gpr.fitting import (
            fit_and_score,  # GPy: a worker that only predicts does without
        )

        data = self._blobs.read_all(job.name(INPUT))
        table = read_table(data, spec)
        started = time.monotonic()

        def tell(done: int) -> None:
            took = time.monotonic() - started
            said = f"restart {done} of {spec.restarts} is done after {took:.0f} s"
            self._tell(Told(said, 100 * done / (spec.restarts + 1)))

        self._tell(Told(f"fitting {spec.kernel} to {len(table.y)} rows", 0))
        try:
            model = fit_and_score(table, spec, cpus=threads_for(cpu_limit()), progress=tell)
        except ValueError as error:
            raise unusable(str(error)) from error
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.npz"
            model.save(path)
            version = self._versions.add(model, path)
        job.write("result", msgspec.json.encode(model.description.as_json()))
        rmse = model.description.scores["rmse"]
        said = (
            f"version {version}: RMSE {rmse:.4g} on held-out rows (deviation {np.std(table.y):.4g})"
        )
        return Trained(version, said, spec.activate)

    def _tell(self, message: Told) -> None:
        self._connection.send_bytes(encode(message))
