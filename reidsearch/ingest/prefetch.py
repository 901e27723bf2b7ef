"""Iterables that are made ahead of their use, in threads of their own."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reidsearch.ingest.report import StageTimes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_T = TypeVar("_T")
_R = TypeVar("_R")
_ROOM = 1  # items that wait between two stages


class Prefetch(Generic[_T]):
    """Iterates over what another thread makes; see `prefetch`.

    Attributes:
        wait_s: how long the user of the items waited for them.
    """

    def __init__(self, items: Iterable[_T], name: str, feeder: Prefetch[Any] | None) -> None:
        self.wait_s = 0.0
        self._name, self._feeder = name, feeder
        self._making_s = self._output_wait_s = 0.0
        self._waiting: Queue[_T | _End] = Queue(_ROOM)
        self._stopped = Event()
        self._thread = Thread(target=self._make, args=(iter(items),), name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[_T]:
        while True:
            began = time.perf_counter()
            item = self._waiting.get()
            self.wait_s += time.perf_counter() - began
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
            del item  # or it would stay until the next one comes

    @property
    def times(self) -> tuple[StageTimes, ...]:
        """How the threads that feed this one, and it, spent their time, once all is used up."""
        before, wait_s = (self._feeder.times, self._feeder.wait_s) if self._feeder else ((), 0.0)
        busy_s = self._making_s - wait_s
        return (*before, StageTimes(self._name, busy_s, wait_s, self._output_wait_s))

    def cancel(self) -> None:
        """Let the thread, and those that feed it, end after the item at hand of each."""
        self._stopped.set()
        if self._feeder:
            self._feeder.cancel()

    def stop(self) -> None:
        """Cancel, and wait for the thread's end."""
        self.cancel()
        while self._thread.is_alive():  # it may be waiting for room
            try:
                self._waiting.get(timeout=0.01)
            except Empty:
                continue

    def _make(self, items: Iterator[_T]) -> None:
        end = _End(None)
        while not self._stopped.is_set():
            began = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                break
            except BaseException as error:  # raised where it is seen
                end = _End(error)
                break
            finally:
                self._making_s += time.perf_counter() - began
            began = time.perf_counter()
            self._waiting.put(item)
            del item
            self._output_wait_s += time.perf_counter() - began
        self._waiting.put(end)


@dataclass(frozen=True, slots=True)
class _End:
    """What comes after the last item: the error that was the reason, if any."""

    error: BaseException | None


@contextmanager
def prefetch(
    items: Iterable[_T], name: str, feeder: Prefetch[Any] | None = None
) -> Iterator[Prefetch[_T]]:
    """Let `items` be made in a thread of their own, beside what uses them.

    An error in their making is raised where the item would have come. When the context ends the
    thread has ended too, and what it had made is lost.

    Args:
        items: made one at a time, a little ahead of their use.
        name: of the thread.
        feeder: what they are made from, if that is made ahead too.
    """
    running = Prefetch(items, name, feeder)
    try:
        yield running
    finally:
        running.stop()


def in_parallel(work: Callable[[_T], _R], items: Iterable[_T], workers: int) -> Iterator[_R]:
    """Like `map`, with several items under way at once; what comes of them comes in their order."""
    with ThreadPoolExecutor(workers) as pool:
        under_way: deque[Future[_R]] = deque()
        for item in items:
            under_way.append(pool.submit(work, item))
            if len(under_way) == workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
