"""Fetching the weights that do not come with the package, into a cache folder."""

from __future__ import annotations

import tarfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
from filelock import FileLock, Timeout

from reidsearch.core.errors import ModelError
from reidsearch.models.catalog import cached_path, hash_weights, record_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reidsearch.models.catalog import ModelCard

_TRIES = 5
_WAIT_S = 1.0  # longer after each try that brought nothing
_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 16
_OK, _PARTIAL, _BAD_RANGE = 200, 206, 416


def download(
    card: ModelCard, on_bytes: Callable[[int, int], None] = lambda _done, _all: None
) -> Path:
    """Fetch a model's weights, check their hash, unpack them, and keep them in the cache.

    A download that was cut goes on where it ended, in this call or in a later one.

    Args:
        card: has a url.
        on_bytes: called as data come in, with how many there are and how many there will be, or 0
            while that is not known.

    Returns:
        The weights file.

    Raises:
        ModelError: the server cannot be reached or gives something else, the disk is full, or
            another process is fetching the same.
    """
    path = cached_path(card)
    archive = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock"), timeout=0):
            _fetch(card, archive, on_bytes)
            if hash_weights(archive) != card.url_sha256:
                archive.unlink()
                raise ModelError(
                    f"{card.url} is not what it should be: its sha256 is not {card.url_sha256}",
                    hint="what was fetched is deleted; " + manual_steps(card),
                )
            _keep(card, archive, path)
    except Timeout:
        raise ModelError(f"another process is fetching {card.name}") from None
    except OSError as error:
        raise ModelError(
            f"cannot keep {card.name} in {path.parent}: {error.strerror}",
            hint="REIDSEARCH_MODELS names another folder",
        ) from error
    return path


def manual_steps(card: ModelCard) -> str:
    """What to do where there is no network."""
    unpack = f", unpack {card.member}" if card.member else ""
    return f"fetch {card.url} (sha256 {card.url_sha256}){unpack}, and give {card.name}=/path/to/it"


def _fetch(card: ModelCard, archive: Path, on_bytes: Callable[[int, int], None]) -> None:
    """Bring the whole file to `archive`, going on after a cut as long as that gets anywhere."""
    tries = 0
    while True:
        before = archive.stat().st_size if archive.exists() else 0
        try:
            with _request(card, before) as response:
                _receive(response, archive, on_bytes)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            after = archive.stat().st_size if archive.exists() else 0
            tries = 0 if after > before else tries + 1
            refused = isinstance(error, httpx.HTTPStatusError)
            if refused or tries == _TRIES:
                raise ModelError(
                    f"cannot fetch {card.url}: {error}", hint=manual_steps(card)
                ) from error
            time.sleep(_WAIT_S * tries)
        else:
            return


@contextmanager
def _request(card: ModelCard, offset: int) -> Iterator[httpx.Response]:
    headers = {"Accept-Encoding": "identity"}  # the hash is of the file itself
    if offset:
        headers["Range"] = f"bytes={offset}-"
    with httpx.stream(
        "GET", card.url, headers=headers, timeout=_TIMEOUT_S, follow_redirects=True
    ) as response:
        if response.status_code != _BAD_RANGE:  # then all of it is here already
            response.raise_for_status()
        yield response


def _receive(response: httpx.Response, archive: Path, on_bytes: Callable[[int, int], None]) -> None:
    if response.status_code == _BAD_RANGE:
        return
    goes_on = response.status_code == _PARTIAL
    with archive.open("ab" if goes_on else "wb") as file:
        done = file.tell()
        total = done + int(response.headers.get("Content-Length", -done))
        for chunk in response.iter_raw():
            file.write(chunk)
            done += len(chunk)
            on_bytes(done, total)


def _keep(card: ModelCard, archive: Path, path: Path) -> None:
    """Take the weights out of what was fetched, and record their hash beside them."""
    if card.member:
        unpacked = path.with_name(f"{path.name}.unpacked")
        _unpack(card, archive, unpacked)
        archive.unlink()
    else:
        unpacked = archive
    record_path(card).write_text(f"{hash_weights(unpacked)} {card.url_sha256}", "utf-8")
    unpacked.replace(path)


def _unpack(card: ModelCard, archive: Path, unpacked: Path) -> None:
    """Copy one member's bytes; no name from inside the archive becomes a path."""
    try:
        with tarfile.open(archive) as tar:
            member = tar.getmember(card.member)
            content = tar.extractfile(member) if member.isfile() else None
            if content is None:
                raise ModelError(f"{card.member} in {card.url} is no file")
            with content, unpacked.open("wb") as file:
                while chunk := content.read(_CHUNK_BYTES):
                    file.write(chunk)
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise ModelError(f"{card.url} holds no {card.member}: {error}") from error
