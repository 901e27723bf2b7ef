"""How long hypothesis looks: the same few examples at each run, or new ones by `scripts/fuzz`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.fuzz.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "fixed", derandomize=True, max_examples=300, deadline=None, suppress_health_check=_SLOW
)
settings.register_profile("random", max_examples=1000, deadline=None, suppress_health_check=_SLOW)
settings.load_profile("fixed")


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Reads files in a process of its own."""
    with contextlib.closing(Worker(tmp_path_factory.mktemp("worker"))) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each example writes its file."""
    return tmp_path_factory.mktemp("examples")
