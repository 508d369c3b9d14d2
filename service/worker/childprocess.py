"""The computing process as its parent sees it: started when needed, watched, killed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from service.worker import computing
from service.worker.messages import Crashed, Message, Progress, Task, decode_message, encode

_LOOK_SECONDS = 0.2


class ComputingProcess:
    """At most one child process, which does one task at a time."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._child: tuple[SpawnProcess, Connection] | None = None

    def run(
        self, task: Task, watch: Callable[[], None], on_progress: Callable[[Progress], None]
    ) -> Message:
        """Do a task and return its outcome.

        Parameters
        ----------
        watch : called a few times per second; if it raises, the child is killed
        on_progress : called with what the child reports before the outcome
        """
        process, connection = self._start()
        try:
            connection.send_bytes(encode(task))
            while True:
                while not connection.poll(_LOOK_SECONDS):
                    watch()
                message = decode_message.decode(connection.recv_bytes())
                if not isinstance(message, Progress):
                    return message
                on_progress(message)
        except (EOFError, OSError):
            process.join(1)
            code = process.exitcode
            self.kill()
            return Crashed(f"the computing process died (exit code {code})", "")
        except BaseException:
            self.kill()
            raise

    def _start(self) -> tuple[SpawnProcess, Connection]:
        if self._child is None or not self._child[0].is_alive():
            self.kill()
            ours, theirs = self._context.Pipe()
            process = self._context.Process(
                target=computing.main, args=(theirs,), name="computing", daemon=True
            )
            process.start()
            theirs.close()
            self._child = process, ours
        return self._child

    def kill(self) -> None:
        """End the child at once, whatever it is doing."""
        if self._child is not None:
            process, connection = self._child
            process.kill()
            process.join()
            connection.close()
        self._child = None
