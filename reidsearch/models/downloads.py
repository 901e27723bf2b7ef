"""Downloading the weights that do not come with the package, into the cache folder."""

from __future__ import annotations

import tarfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
from filelock import FileLock, Timeout

from reidsearch.core.errors import ModelError
from reidsearch.core.files import hash_file
from reidsearch.models.catalog import archive_record
from reidsearch.models.weights import is_downloaded, locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reidsearch.models.cards import ModelCard, WeightFile

_TRIES = 5
_WAIT_S = 1.0  # longer after each try that brought nothing
_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 16
_OK, _PARTIAL, _BAD_RANGE = 200, 206, 416


def download(
    card: ModelCard, on_bytes: Callable[[int, int], None] = lambda _done, _all: None
) -> list[Path]:
    """Download the files of a model that are not in the cache folder, and check their hashes.

    An interrupted download is resumed, in this call or in a later one.

    Args:
        card: the model.
        on_bytes: called as data of a file come in, with how many bytes there are and how many
            there will be, or 0 while that is not known.

    Returns:
        All of its files that can be downloaded.

    Raises:
        ModelError: the server cannot be reached or sends something else, the disk is full, or
            another process is downloading the same file.
    """
    remote = [file for file in card.files if file.url]
    for file in remote:
        path = locate(file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_name(f"{path.name}.lock"), timeout=0):
                if not is_downloaded(file):
                    _download(card, file, path, on_bytes)
        except Timeout:
            raise ModelError(f"another process is downloading {card.name}") from None
        except OSError as error:
            raise ModelError(
                f"cannot write {file.name} to {path.parent}: {error.strerror}",
                hint="REIDSEARCH_MODELS names another folder",
            ) from error
    return [locate(file) for file in remote]


def _download(
    card: ModelCard, file: WeightFile, path: Path, on_bytes: Callable[[int, int], None]
) -> None:
    partial = path.with_name(f"{path.name}.part")
    _fetch(card, file, partial, on_bytes)
    sha256 = file.archive_sha256 or file.sha256
    if hash_file(partial) != sha256:
        partial.unlink()
        raise ModelError(
            f"{file.url} is not the expected file: its sha256 is not {sha256}",
            hint=f"it was deleted; {manual_steps(card)}",
        )
    if file.member:
        _unpack(file, partial, path)
        partial.unlink()
    else:
        partial.replace(path)


def manual_steps(card: ModelCard) -> str:
    """What to do without a network."""
    return "; ".join(_manual_step(card, file) for file in card.files if file.url)


def _manual_step(card: ModelCard, file: WeightFile) -> str:
    if not file.member:
        return f"download {file.url} (sha256 {file.sha256}) as {locate(file)}"
    return (
        f"download {file.url} (sha256 {file.archive_sha256}), unpack {file.member}, "
        f"and pass {card.name}=/path/to/it"
    )


def _fetch(
    card: ModelCard, file: WeightFile, partial: Path, on_bytes: Callable[[int, int], None]
) -> None:
    """Download a whole file, trying again as long as each attempt gets further."""
    tries = 0
    while True:
        before = partial.stat().st_size if partial.exists() else 0
        try:
            with _request(file.url, before) as response:
                _receive(response, partial, on_bytes)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            after = partial.stat().st_size if partial.exists() else 0
            tries = 0 if after > before else tries + 1
            refused = isinstance(error, httpx.HTTPStatusError)
            if refused or tries == _TRIES:
                raise ModelError(
                    f"cannot download {file.url}: {error}", hint=manual_steps(card)
                ) from error
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


def _receive(response: httpx.Response, partial: Path, on_bytes: Callable[[int, int], None]) -> None:
    if response.status_code == _BAD_RANGE:
        return
    is_resumed = response.status_code == _PARTIAL
    with partial.open("ab" if is_resumed else "wb") as out:
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
