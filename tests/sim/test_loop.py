"""The loop itself: time, order, threads, deadlocks, and the private names of asyncio that it stands on."""

from __future__ import annotations

import asyncio
import collections
import contextvars
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from langgraph_speculate.host import clock
from langgraph_speculate.host.threads import THREADS
from tests.sim import loop as sim
from tests.sim.loop import Deadlock, Egress, VirtualLoop, active, run, sleep


def test_time_jumps_to_the_next_timer() -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    began = time.perf_counter()
    assert run(main()).result == 3600
    assert time.perf_counter() - began < 1


def test_timers_of_one_instant_fire_in_the_order_they_were_set() -> None:
    fired: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(50):
            loop.call_at(1.0, fired.append, number)
        await asyncio.sleep(2)

    run(main())
    assert fired == list(range(50))


def _order(seed: int, mode: Any) -> list[int]:
    done: list[int] = []

    async def one(number: int) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        done.append(number)

    async def main() -> None:
        await asyncio.gather(*map(one, range(6)))

    run(main(), seed, mode)
    return done


def test_fifo_keeps_the_order_and_permuted_draws_it_from_the_seed() -> None:
    assert _order(1, "fifo") == _order(2, "fifo") == list(range(6))
    assert len({tuple(_order(seed, "permuted")) for seed in range(20)}) > 10
    assert all(_order(seed, "permuted") == _order(seed, "permuted") for seed in range(5))


def test_waiting_for_what_never_comes_is_a_deadlock() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock, match="no ready callback"):
        run(main())


def test_a_run_that_never_ends_is_a_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sim, "MAX_STEPS", 1000)

    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Deadlock, match="no end after 1000"):
        run(main())


def test_tasks_left_over_are_named() -> None:
    async def straggler() -> None:
        await asyncio.sleep(100)

    async def main() -> None:
        main.kept = asyncio.ensure_future(straggler())  # type: ignore[attr-defined]
        await asyncio.sleep(1)

    assert [name.rpartition(".")[2] for name in run(main()).unfinished] == ["straggler"]


def test_sockets_are_out_of_reach() -> None:
    async def main() -> None:
        await asyncio.open_connection("localhost", 80)

    assert isinstance(run(main()).error, Egress)


# -- threads ---------------------------------------------------------------------------------------------------------


def test_one_thread_runs_at_any_instant() -> None:
    inside: list[int] = []
    most = 0

    def body(number: int) -> None:
        nonlocal most
        for _ in range(5):
            inside.append(number)
            most = max(most, len(inside))
            inside.remove(number)
            sleep(0.1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(None, body, number) for number in range(4)))

    run(main())
    assert most == 1


def test_a_body_runs_in_a_thread_of_its_own_without_a_loop() -> None:
    def body() -> bool:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return threading.current_thread() is not threading.main_thread()
        return False

    async def main() -> bool:
        return await asyncio.get_running_loop().run_in_executor(None, body)

    assert run(main()).result


@pytest.mark.parametrize(("cancel_at", "ran"), [(0.5, []), (1.5, ["began", "ended"])])
def test_a_job_cancelled_before_its_start_never_runs_and_later_runs_to_its_end(
    cancel_at: float, ran: list[str]
) -> None:
    seen: list[str] = []

    def body() -> None:
        seen.append("began")
        sleep(5)
        seen.append("ended")

    async def main() -> None:
        job = asyncio.get_running_loop().run_in_executor(None, body)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(job, cancel_at)

    run(main(), queue_wait_s=1.0)
    assert seen == ran


def test_a_hung_body_is_unwound_when_the_simulation_ends() -> None:
    unwound: list[str] = []

    def body() -> None:
        try:
            sleep(1e9)
        finally:
            unwound.append("yes")

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, body)
        await asyncio.sleep(1)

    assert run(main()).hung == ["executor"]
    assert unwound == ["yes"]


def test_what_a_body_raises_reaches_who_waits() -> None:
    def stops() -> None:
        raise StopIteration

    def breaks() -> None:
        raise ValueError("broken")

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        jobs = [loop.run_in_executor(None, body) for body in (stops, breaks)]
        return await asyncio.gather(*jobs, return_exceptions=True)

    assert [type(error) for error in run(main()).result] == [RuntimeError, ValueError]


def test_a_thread_inherits_no_context() -> None:
    variable = contextvars.ContextVar("variable", default="empty")

    async def main() -> list[str]:
        variable.set("set")
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        bare = await loop.run_in_executor(None, variable.get)
        return [bare, await loop.run_in_executor(None, context.run, variable.get)]

    assert run(main()).result == ["empty", "set"]


@pytest.mark.parametrize(("takes_s", "waited_s"), [(0.2, 0.2), (9.0, 1.0)])
def test_a_thread_waits_for_a_future_in_virtual_time(takes_s: float, waited_s: float) -> None:
    def body(future: Future[None]) -> float:
        began = active().now
        clock.wait(future, 1.0)
        return active().now - began

    async def main() -> float:
        loop, future = asyncio.get_running_loop(), Future[None]()
        loop.call_later(takes_s, future.set_result, None)
        return await loop.run_in_executor(None, body, future)

    assert run(main()).result == pytest.approx(waited_s)


def test_the_loop_itself_must_not_block() -> None:
    async def main() -> None:
        sleep(1)

    assert isinstance(run(main()).error, Deadlock)


def test_the_library_has_virtual_time_and_threads_only_while_a_simulation_runs() -> None:
    real = clock.now, clock.wait, THREADS.submit
    seen: list[float] = []

    async def main() -> None:
        THREADS.submit(lambda: (sleep(2), seen.append(clock.now())))  # type: ignore[arg-type, return-value]
        await asyncio.sleep(3)

    run(main())
    assert seen == [2.0]
    assert (clock.now, clock.wait) == real[:2]
    assert THREADS.submit == real[2]


# -- private names of asyncio ----------------------------------------------------------------------------------------


def test_asyncio_runs_ready_handles_from_a_deque_once_a_round() -> None:
    loop = VirtualLoop()
    try:
        assert isinstance(loop._ready, collections.deque)
        seen: list[int] = []
        loop.call_soon(lambda: loop.call_soon(seen.append, 2))
        loop.call_soon(seen.append, 1)
        asyncio.BaseEventLoop._run_once(loop)
        assert seen == [1]
    finally:
        loop.close()


def test_asyncio_keeps_timers_in_a_heap_by_when() -> None:
    loop = VirtualLoop()
    try:
        loop.call_later(2, print)
        first = loop.call_later(1, print)
        assert loop._scheduled[0] is first
        assert (first._when, first._scheduled) == (1.0, True)
        first.cancel()
        loop.call_soon(list)
        asyncio.BaseEventLoop._run_once(loop)
        assert [timer._when for timer in loop._scheduled] == [2.0]
    finally:
        loop.close()


def test_asyncio_asks_the_selector_how_long_to_wait() -> None:
    asked: list[float | None] = []

    class Selector:
        def select(self, timeout: float | None) -> list[Any]:
            asked.append(timeout)
            return []

    loop = VirtualLoop()
    try:
        loop._selector = Selector()  # type: ignore[assignment]
        loop.call_later(5, print)
        asyncio.BaseEventLoop._run_once(loop)
        assert asked == [5.0]
        assert loop._process_events([]) is None
        assert loop._write_to_self() is None
        assert loop._clock_resolution == 1e-9
    finally:
        loop.close()
