"""Downloading the weights that do not come with the package, into the cache folder."""

from __future__ import annotations

import tarfile
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import httpx
from filelock import FileLock, Timeout

from reidsearch.core.errors import ModelError
from reidsearch.core.files import hash_file
from reidsearch.models.catalog import archive_record
from reidsearch.models.weights import is_downloaded, locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from reidsearch.models.cards import ModelCard, WeightFile

_TRIES = 5
_WAIT_S = 1.0  # longer after each try that brought nothing
_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 16
_OK, _PARTIAL, _BAD_RANGE = 200, 206, 416


def download(
    *cards: ModelCard, on_bytes: Callable[[str, int, int], None] = lambda *_: None
) -> list[Path]:
    """Download the files of models that are not in the cache folder, and check their hashes.

    An interrupted download is resumed, in this call or in a later one.

    Args:
        cards: the models.
        on_bytes: called as data of a file come in, with its name, how many bytes there are and how
            many there will be, or 0 while that is not known.

    Returns:
        All of their files that can be downloaded.

    Raises:
        ModelError: the server cannot be reached or sends something else, the disk is full, or
            another process is downloading the same file.
    """
    wanted = [file for card in cards for file in card.files if file.url]
    for file in wanted:
        path = locate(file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_name(f"{path.name}.lock"), timeout=0):
                if not is_downloaded(file):
                    _download(file, path, partial(on_bytes, file.name))
        except Timeout:
            raise ModelError(f"another process is downloading {file.name}") from None
        except _FailedError as error:
            raise ModelError(str(error), hint=_manual_steps(cards)) from error
        except OSError as error:
            raise ModelError(
                f"cannot write {file.name} to {path.parent}: {error.strerror}",
                hint="REIDSEARCH_MODELS names another folder",
            ) from error
    return [locate(file) for file in wanted]


class _FailedError(ModelError):
    """A file could not be had; it may be carried over by hand."""


def _download(file: WeightFile, path: Path, on_bytes: Callable[[int, int], None]) -> None:
    part = path.with_name(f"{path.name}.part")
    _fetch(file, part, on_bytes)
    sha256 = file.archive_sha256 or file.sha256
    if hash_file(part) != sha256:
        part.unlink()
        raise _FailedError(
            f"{file.url} is not the expected file, and was deleted: its sha256 is not {sha256}"
        )
    if file.member:
        _unpack(file, part, path)
        part.unlink()
    else:
        part.replace(path)


def _manual_steps(cards: Sequence[ModelCard]) -> str:
    """What to do without a network."""
    steps = ["download by hand, on a machine that can, and carry over:"]
    for card in cards:
        for file in card.files:
            if file.member:
                place = f"unpack {file.member}, and pass {card.name}=/path/to/it"
            else:
                place = f"put it at {locate(file)}"
            if file.url and not is_downloaded(file):
                steps += [
                    f"  {file.url}",
                    f"    sha256 {file.archive_sha256 or file.sha256}; {place}",
                ]
    return "\n".join(steps)


def _fetch(file: WeightFile, part: Path, on_bytes: Callable[[int, int], None]) -> None:
    """Download a whole file, trying again as long as each attempt gets further."""
    tries = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            with _request(file.url, before) as response:
                _receive(response, part, on_bytes)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            after = part.stat().st_size if part.exists() else 0
            tries = 0 if after > before else tries + 1
            refused = isinstance(error, httpx.HTTPStatusError)
            if refused or tries == _TRIES:
                reason = str(error).partition("\n")[0]  # without advice on HTTP
                raise _FailedError(f"cannot download {file.url}: {reason}") from error
            time.sleep(_WAIT_S * tries)
        else:
            return


@contextmanager
def _request(url: str, offset: int) -> Iterator[httpx.Response]:
    headers = {"Accept-Encoding": "identity"}  # the hash is of the file itself
    if offset:
        headers["Range"] = f"bytes={offset}-"
    with httpx.stream(
        "GET", url, headers=headers, timeout=_TIMEOUT_S, follow_redirects=True
    ) as response:
        if response.status_code != _BAD_RANGE:  # then it is complete already
            response.raise_for_status()
        yield response


def _receive(response: httpx.Response, part: Path, on_bytes: Callable[[int, int], None]) -> None:
    if response.status_code == _BAD_RANGE:
        return
    is_resumed = response.status_code == _PARTIAL
    with part.open("ab" if is_resumed else "wb") as out:
        done = out.tell()
        total = done + int(response.headers.get("Content-Length", -done))
        for chunk in response.iter_raw():
            out.write(chunk)
            done += len(chunk)
            on_bytes(done, total)


def _unpack(file: WeightFile, archive: Path, path: Path) -> None:
    """Copy one member's bytes, and record their hash; no name in the archive becomes a path."""
    unpacked = path.with_name(f"{path.name}.unpacked")
    try:
        with tarfile.open(archive) as tar:
            member = tar.getmember(file.member)
            content = tar.extractfile(member) if member.isfile() else None
            if content is None:
                raise ModelError(f"{file.member} in {file.url} is not a file")
            with content, unpacked.open("wb") as out:
                while chunk := content.read(_CHUNK_BYTES):
                    out.write(chunk)
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise ModelError(f"cannot unpack {file.member} from {file.url}: {error}") from error
    archive_record(file).write_text(f"{hash_file(unpacked)} {file.archive_sha256}", "utf-8")
    unpacked.replace(path)
