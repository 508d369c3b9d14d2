"""Requests that wait together are answered by one product, in order, without a timer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from service.model import Model
from service.runtime.backlog import Backlog
from service.runtime.batching import Batcher, Waiting
from service.runtime.metrics import Metrics
from service.runtime.pool import TilePool
from service.services.errors import Problem
from service.services.points import Rows
from tests.helpers.patience import until
from tests.helpers.toys import Broken, Sum

ROW = [1.0, 2.0, 3.0, 4.0]


def batcher(seconds_per_point: float = 1e-6) -> Batcher:
    return Batcher(Backlog(1.0, seconds_per_point), TilePool(), Metrics())


async def predict(b: Batcher, model: Model, rows: Rows, noise: bool) -> Waiting:
    settled: asyncio.Future[Waiting] = asyncio.get_running_loop().create_future()
    b.submit(model, rows, noise, settled.set_result)
    waiting = await settled
    if waiting.error is not None:
        raise waiting.error
    return waiting


def on_loop(b: Batcher, *coroutines: Coroutine[Any, Any, Waiting]) -> list[Waiting]:
    async def run() -> list[Any]:
        b.attach(asyncio.get_running_loop())
        answers: list[Any] = await asyncio.gather(*coroutines, return_exceptions=True)
        return answers

    return asyncio.run(run())


def sizes(shares: list[Waiting]) -> list[float]:
    return [share.P[0, 1] for share in shares]


def test_requests_of_one_turn_share_a_product_in_order() -> None:
    b, model = batcher(), Sum()
    shares = on_loop(b, *(predict(b, model, [[float(i), 0, 0, 0]], True) for i in range(5)))
    assert [share.P[0, 0] for share in shares] == [0, 1, 2, 3, 4]
    assert sizes(shares) == [5] * 5


def test_a_single_request_is_alone() -> None:
    b, model = batcher(), Sum()
    assert sizes(on_loop(b, predict(b, model, [ROW], True))) == [1]


def arriving(b: Batcher, model: Sum, count: int) -> list[Waiting]:
    """Answer requests of which one arrives in each iteration of the loop."""

    async def predict_at(turn: int) -> Waiting:
        for _ in range(turn):
            await asyncio.sleep(0)
        return await predict(b, model, [ROW], True)

    return on_loop(b, *(predict_at(turn) for turn in range(count)))


def test_requests_of_successive_turns_share_a_product() -> None:
    assert sizes(arriving(batcher(), Sum(), 10)) == [10] * 10


def test_the_first_request_does_not_wait_for_ever_for_others() -> None:
    first, *_, last = sizes(arriving(batcher(), Sum(), 40))
    assert first < 20
    assert last < 40


def test_models_and_kinds_of_variance_are_not_mixed() -> None:
    b, one, other = batcher(), Sum(), Sum()
    asked = [(one, True), (one, True), (one, False), (other, False)]
    shares = on_loop(b, *(predict(b, model, [ROW], noise) for model, noise in asked))
    assert sizes(shares) == [2, 2, 1, 1]


def test_a_batch_stays_below_a_large_tile() -> None:
    b, model = batcher(), Sum()
    rows = [ROW] * 100
    shares = on_loop(b, *(predict(b, model, rows, True) for _ in range(5)))
    assert sizes(shares) == [200, 200, 200, 200, 100]


def test_a_large_request_is_alone() -> None:
    b, model = batcher(), Sum()
    shares = on_loop(b, predict(b, model, [ROW], True), predict(b, model, [ROW] * 256, True))
    assert len(shares[1].P) == 256
    assert sizes(shares)[0] == 1


def test_while_one_batch_is_computed_the_next_one_gathers() -> None:
    b, model = batcher(seconds_per_point=1.0), Sum()
    model.gate.clear()

    async def run() -> list[Waiting]:
        b.attach(asyncio.get_running_loop())
        first = asyncio.create_task(predict(b, model, [ROW], True))
        while not b._running:
            await asyncio.sleep(0)
        others = [asyncio.create_task(predict(b, model, [ROW], True)) for _ in range(7)]
        while len(b._pending) < 7:
            await asyncio.sleep(0)
        model.gate.set()
        return [await task for task in (first, *others)]

    assert sizes(asyncio.run(run())) == [1] + [7] * 7


def test_the_thread_takes_the_next_batch_without_the_loop() -> None:
    b, model = batcher(seconds_per_point=1.0), Sum()
    model.gate.clear()

    async def run() -> list[Waiting]:
        b.attach(asyncio.get_running_loop())
        tasks = [asyncio.create_task(predict(b, model, [ROW], True))]
        while not b._running:
            await asyncio.sleep(0)
        tasks += [asyncio.create_task(predict(b, model, [ROW], True)) for _ in range(3)]
        while len(b._pending) < 3:
            await asyncio.sleep(0)
        model.gate.set()
        until(lambda: b.backlog.seconds == 0)  # the loop is held all the while
        assert b.backlog.seconds == 0
        return [await task for task in tasks]

    assert sizes(asyncio.run(run())) == [1, 3, 3, 3]


def test_an_error_reaches_those_who_asked_and_nobody_else() -> None:
    b, model = batcher(), Broken()
    bad, good = [9.0, 0, 0, 0], [1.0, 0, 0, 0]
    answers = on_loop(b, predict(b, model, [bad], True), predict(b, model, [good], False))
    assert isinstance(answers[0], FloatingPointError)
    assert answers[1].P[0, 0] == 1
    assert b.backlog.seconds == 0


def test_a_caller_who_left_does_not_hurt_the_others() -> None:
    b, model = batcher(), Sum()

    async def run() -> Waiting:
        b.attach(asyncio.get_running_loop())
        leaver = asyncio.create_task(predict(b, model, [ROW], True))
        await asyncio.sleep(0)
        leaver.cancel()
        return await predict(b, model, [ROW], True)

    assert asyncio.run(run()).P[0, 0] == 10


def test_threads_without_a_loop_share_products_that_take_long() -> None:
    b, model = batcher(seconds_per_point=0.01), Sum()
    model.gate.clear()
    shares: list[Waiting] = []

    def call() -> None:
        shares.append(b.predict(model, [ROW], True))

    threads = [threading.Thread(target=call) for _ in range(6)]
    threads[0].start()
    until(lambda: b._turn.locked() and not b._pending)  # it computes its own alone
    for thread in threads[1:]:
        thread.start()
    until(lambda: len(b._pending) == 5)
    model.gate.set()
    for thread in threads:
        thread.join()
    assert sorted(sizes(shares)) == [1, 5, 5, 5, 5, 5]


def test_a_thread_without_a_loop_does_not_wait_for_others_to_compute_little() -> None:
    b, model = batcher(), Sum()
    with b._turn:
        assert b.predict(model, [ROW], True).P[0, 0] == 10


def test_threads_beside_a_loop_use_the_loops_batches() -> None:
    b, model = batcher(), Sum()

    async def run() -> list[Waiting]:
        loop = asyncio.get_running_loop()
        b.attach(loop)
        return await asyncio.gather(
            *(loop.run_in_executor(None, b.predict, model, [ROW], True) for _ in range(3)),
        )

    assert all(share.P[0, 0] == 10 for share in asyncio.run(run()))


def test_backlog_counts_what_waits_and_refuses_beyond_its_limit() -> None:
    backlog = Backlog(limit_seconds=1.0, seconds_per_point=0.01)
    backlog.add(100)
    backlog.refuse_if_full()
    backlog.add(60)
    assert backlog.seconds == pytest.approx(1.6)
    with pytest.raises(Problem) as refused:
        backlog.refuse_if_full()
    assert refused.value.status == 503
    assert refused.value.headers == {"Retry-After": "2"}
    backlog.done(160)
    assert backlog.seconds == 0


def test_backlog_learns_what_a_point_costs() -> None:
    backlog = Backlog(1.0, seconds_per_point=1.0)
    for _ in range(50):
        backlog.add(100)
        backlog.done(100, seconds=0.1)
    assert backlog.seconds_per_point == pytest.approx(0.001, rel=0.1)
