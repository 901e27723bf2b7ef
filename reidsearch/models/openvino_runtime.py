"""OpenVINO: networks are converted once, compiled for this machine, and kept for the next time."""

from __future__ import annotations

import zipfile
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import openvino
from filelock import FileLock

from reidsearch.models.catalog import cache_folder, network_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.models.backends import Precision
    from reidsearch.models.catalog import ModelCard

_CONVERSION = 2  # to be raised when networks are converted in another way


def options(precision: Precision) -> dict[str, str]:
    """How networks are compiled: all cores busy, and in which numbers.

    OpenVINO itself would take bf16 wherever the processor has it, so that two processors gave two
    answers.
    """
    return {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}


def compile_model(
    model: openvino.Model | Path, precision: Precision = "f32", cache: Path | None = None
) -> openvino.CompiledModel:
    """Compile a network for throughput on the CPU.

    Args:
        model: the network, or its `.xml`.
        precision: what it computes in.
        cache: where the compiled network is kept.
    """
    core = openvino.Core()
    if cache is not None:
        # OpenVINO takes one precision's blob for the other's.
        core.set_property({"CACHE_DIR": str(cache / precision)})
    return core.compile_model(model, "CPU", options(precision))


def compile_card(
    card: ModelCard, name: str, convert: Callable[[Path], openvino.Model], precision: Precision
) -> openvino.CompiledModel:
    """Compile what is shipped of a model; what is not is converted, and kept in the cache.

    Args:
        card: the model.
        name: of the converted network's files; says all that decides it.
        convert: makes it of the model's weights, if it is not in the cache.
        precision: what it computes in.

    Raises:
        ModelError: the files of the model are missing or damaged.
    """
    source = network_path(card)
    if card.exported:
        return compile_model(_read_exported(source), precision)
    version = openvino.__version__.partition("-")[0]
    path = cache_folder() / "openvino" / f"{name}-v{_CONVERSION}-{version}.xml"
    if path.exists():
        with suppress(RuntimeError):  # the files are damaged: they are made again
            return compile_model(path, precision, path.parent)
    model = convert(source)
    with suppress(OSError, RuntimeError):  # no room for a cache is no reason to stop
        _save(model, path)
    return compile_model(model, precision)


def run_each(
    compiled: openvino.CompiledModel, inputs: Iterable[NDArray[np.uint8]]
) -> Iterator[list[NDArray[np.float32]]]:
    """Run a network on one input after the other, several at a time; several threads may do so.

    One picture is one input. Each core has one under way, whose layers then fit into its cache: in
    f32, OSNet at 256x128 took 18 ms a crop so, and 27 in batches of 8.

    Without `AsyncInferQueue`: its callbacks may still hold requests when it goes, and the thread
    that lets go of the last one then waits for itself. And requests look at the inputs where they
    are: two threads that copied them into requests at the same time have waited for each other.

    Yields:
        All outputs of each input, in the order of the inputs.
    """
    streams = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    idle = [compiled.create_infer_request() for _ in range(streams + 1)]  # one is got ready
    # An input is kept until it was looked at.
    under_way: deque[tuple[openvino.InferRequest, NDArray[np.uint8]]] = deque()

    def finish() -> list[NDArray[np.float32]]:
        request, _ = under_way.popleft()
        request.wait()
        idle.append(request)
        return [output.data.copy() for output in request.output_tensors]

    try:
        for pixels in inputs:
            if not idle:
                yield finish()
            request = idle.pop()
            request.set_input_tensor(openvino.Tensor(pixels, shared_memory=True))
            under_way.append((request, pixels))
            request.start_async()
        while under_way:
            yield finish()
    finally:  # inputs may go only after those who look at them
        for request, _ in under_way:
            request.wait()


def _read_exported(path: Path) -> openvino.Model:
    """Read what `scripts/export.py` wrote: a zip of a network's `.xml` and `.bin`."""
    with zipfile.ZipFile(path) as archive:
        return openvino.Core().read_model(archive.read("network.xml"), archive.read("network.bin"))


def _save(model: openvino.Model, path: Path) -> None:
    """Write `.bin` and then `.xml`: what has the latter is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"partial-{path.name}")
    with FileLock(path.with_suffix(".lock")):
        openvino.save_model(model, partial, compress_to_fp16=False)
        for suffix in (".bin", ".xml"):
            partial.with_suffix(suffix).replace(path.with_suffix(suffix))
