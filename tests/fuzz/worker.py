"""A process that reads files, as native code may crash, hang or fill all memory."""

from __future__ import annotations

import multiprocessing
import resource
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from pathlib import Path

_MOST_S = 30
_MOST_KB = 3 << 20


class Worker:
    """Calls functions on files in a process that may die, and is then begun anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: Any = None
        self._found = 0

    def read(self, function: Callable[[Path], Any], data: bytes, name: str) -> Any:
        """What `function` returns, or raises, of a file with this data and name."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._ours, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
        path = self._folder / name
        path.write_bytes(data)
        self._ours.send((function, path))
        try:
            if not self._ours.poll(_MOST_S):
                self._fail(path, f"took more than {_MOST_S} s")
            answer, peak_kb = self._ours.recv()
        except EOFError:
            self._fail(path, "ended the process that read it")
        if peak_kb > _MOST_KB:
            self._fail(path, f"took {peak_kb >> 10} MB of memory")
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _fail(self, path: Path, what: str) -> None:
        self.close()
        self._found += 1
        kept = shutil.copy(path, path.with_name(f"found-{self._found}{path.suffix}"))
        raise AssertionError(f"{kept} {what}")


def _serve(connection: Connection) -> None:
    while True:
        try:
            function, path = connection.recv()
        except EOFError:
            return
        try:
            answer: Any = function(path)
        except Exception as error:  # the test is asked what it thinks of it
            answer = error
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        connection.send((answer, peak_kb))
