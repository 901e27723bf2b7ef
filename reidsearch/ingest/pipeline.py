"""Stages that work at the same time, each in a thread of its own."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_T = TypeVar("_T")
_R = TypeVar("_R")
_ROOM = 1  # items that wait between two stages


@dataclass(frozen=True, slots=True)
class StageTimes:
    """How a stage spent its time.

    Attributes:
        name: of the stage.
        busy_s: at work.
        starved_s: waiting for what the stage before it makes.
        blocked_s: waiting until the stage after it takes what is made.
    """

    name: str
    busy_s: float
    starved_s: float
    blocked_s: float


class Ahead(Generic[_T]):
    """Iterates over what another thread makes; see `ahead`.

    Attributes:
        starved_s: how long the user of the items waited for them.
    """

    def __init__(self, items: Iterable[_T], name: str, feeder: Ahead[Any] | None) -> None:
        self.starved_s = 0.0
        self._name, self._feeder = name, feeder
        self._making_s = self._blocked_s = 0.0
        self._waiting: Queue[_T | _End] = Queue(_ROOM)
        self._stopped = Event()
        self._thread = Thread(target=self._make, args=(iter(items),), name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[_T]:
        while True:
            began = time.perf_counter()
            item = self._waiting.get()
            self.starved_s += time.perf_counter() - began
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
            del item  # or it would stay until the next one comes

    @property
    def times(self) -> StageTimes:
        """How the thread spent its time, once its items are used up."""
        starved_s = self._feeder.starved_s if self._feeder else 0.0
        return StageTimes(self._name, self._making_s - starved_s, starved_s, self._blocked_s)

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
            self._blocked_s += time.perf_counter() - began
        self._waiting.put(end)


@dataclass(frozen=True, slots=True)
class _End:
    """What comes after the last item: the error that was the reason, if any."""

    error: BaseException | None


@contextmanager
def ahead(items: Iterable[_T], name: str, feeder: Ahead[Any] | None = None) -> Iterator[Ahead[_T]]:
    """Let `items` be made in a thread of their own, beside what uses them.

    An error in their making is raised where the item would have come. When the context ends the
    thread has ended too, and what it had made is lost.

    Args:
        items: made one at a time, a little ahead of their use.
        name: of the thread.
        feeder: what they are made from, if that is made ahead too.
    """
    running = Ahead(items, name, feeder)
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
