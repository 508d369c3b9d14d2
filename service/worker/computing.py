"""The process that computes, apart from the one that talks to the queue.

It can be killed at any moment. So a running job is cancelled within two seconds, whatever library
it is in, and a crash of a library costs a part and not the worker.
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

import numpy as np
from threadpoolctl import threadpool_limits

from service.jobs import specs
from service.jobs.blobs import JobBlobs
from service.jobs.inputs import check_limits, training_table
from service.jobs.plans import make_plan, read_plan, rows_per_part, write_plan
from service.jobs.results import compute_part
from service.jobs.specs import BEGIN, INPUT, SERVED, Training
from service.model import FloatArray, Model, ModelFileError
from service.runtime.live import model_class, open_store
from service.runtime.pool import TilePool, cpu_limit, threads_for, yield_priority
from service.services.errors import Problem, full, unusable
from service.services.prediction import Limits
from service.settings import Settings
from service.storage.blobs import BlobMissing, Blobs, StorageFull
from service.storage.comparison import clearly_worse
from service.storage.versions import NoSuchVersion, Versions
from service.worker import messages

_MODELS = 2
"""How many versions stay in memory: that of the last jobs and the one before."""


def main(connection: Connection) -> None:
    """Do one task after another, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which stops us
    threading.Thread(target=_die_with_parent, daemon=True).start()
    threadpool_limits(1, "blas")
    computer = Computer(Settings.from_environ(), connection)
    while True:
        task = messages.decode_task.decode(connection.recv_bytes())
        connection.send_bytes(messages.encode(computer.do(task)))


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class Computer:
    """Plans, predicts and trains; keeps the models that it has loaded."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._settings = settings
        self._connection = connection
        self._blobs: Blobs = open_store(settings, patient=True)
        self._versions = Versions(self._blobs)
        self._models: dict[str, Model] = {}
        self._pool = TilePool()
        self._limits = Limits(settings.max_covariance_points, settings.max_sample_values)

    def do(self, task: messages.Task) -> messages.Message:
        """Do a task and return its outcome, good or bad."""
        try:
            return self._do(task)
        except Problem as problem:
            return messages.Rejected(problem.detail, problem.document())
        except BlobMissing as missing:
            gone = Problem(410, f"the input is gone: {missing}")
            return messages.Rejected("the input is gone", gone.document())
        except StorageFull as error:
            return messages.Rejected("the storage is full", full(error).document())
        except Exception as error:
            return messages.Crashed(f"{type(error).__name__}: {error}", traceback.format_exc())

    def _do(self, task: messages.Task) -> messages.Message:
        spec = specs.decode(task.spec)
        blobs = JobBlobs(self._blobs, task.id)
        if isinstance(spec, Training):
            return self._train(blobs, spec)
        model = self._model(spec.version)
        predictor = model, self._predict, self._limits
        if task.part != BEGIN:
            rows = compute_part(blobs, read_plan(blobs), spec, task.part, *predictor)
            return messages.Computed(rows)
        if not task.rows_per_part:
            seconds = self._settings.chunk_seconds
            return messages.Measured(rows_per_part(model, spec.options, self._predict, seconds))
        plan = make_plan(blobs, spec, model, task.rows_per_part, self._settings.max_points)
        check_limits(model, plan.rows, spec.options, self._limits)
        write_plan(blobs, plan)
        small = len(plan.parts) == 1
        if small:
            compute_part(blobs, plan, spec, 0, *predictor)
        return messages.Planned(plan.rows, len(plan.parts), small)

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

    def _train(self, blobs: JobBlobs, spec: Training) -> messages.Message:
        # Imported here: GPy takes a second and 80 MB, which a worker that only predicts saves.
        from service.gpr.fitting import fit_and_score, notes

        yield_priority()  # as large predictions do: next to it they would else get a tenth
        table = training_table(blobs.read_all(INPUT), spec)
        started = time.monotonic()

        def progress(done: int) -> None:
            took = time.monotonic() - started
            message = f"restart {done} of {spec.restarts} finished after {took:.0f} s"
            self._report(message, 100 * done / (spec.restarts + 1))

        without = f", without {table.dropped} that lack a cell" if table.dropped else ""
        self._report(f"fitting {spec.kernel} to {len(table.y)} rows{without}", 0)
        try:
            model = fit_and_score(table, spec, cpus=threads_for(cpu_limit()), progress=progress)
        except ValueError as error:
            raise unusable(str(error)) from error
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.npz"
            model.save(path)
            version = self._versions.add(model, path)
        scores, deviation = model.description.scores, np.std(table.y)
        remarks = " ".join([*scores["verdict"], *notes(table)])
        message = (
            f"version {version}: RMSE {scores['rmse']:.4g} on held-out rows "
            f"(standard deviation of the output: {deviation:.4g}). {remarks}"
        )
        worse = self._worse(model, blobs) if spec.activate and not spec.force else ""
        if worse:
            message += (
                f" It is stored, but not activated, because it is clearly worse: {worse}. To "
                f"activate it nevertheless, send POST /models/{version}/activate?force=true"
            )
        return messages.Trained(version, message, spec.activate and not worse)

    def _worse(self, model: Model, blobs: JobBlobs) -> str:
        """Return why a model is clearly worse than the current version; empty if it is not."""
        try:
            current = self._versions.current() or blobs.read_all(SERVED).decode()
            return clearly_worse(model.description, self._model(current).description)
        except (BlobMissing, ModelFileError, NoSuchVersion):
            return ""

    def _report(self, message: str, percent: float) -> None:
        self._connection.send_bytes(messages.encode(messages.Progress(message, percent)))
