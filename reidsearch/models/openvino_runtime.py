"""Converting, compiling and running networks with OpenVINO; conversions are cached."""

from __future__ import annotations

import zipfile
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import openvino
from filelock import FileLock

from reidsearch.core.errors import ModelError
from reidsearch.models.weights import cache_folder, verified_path, weights_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.models.backends import Precision
    from reidsearch.models.cards import ModelCard

_CONVERSION = 2  # raise it when the conversion changes: it is part of the cached files' names


def compile_options(precision: Precision) -> dict[str, str]:
    """Compile for throughput on all cores, in a fixed precision.

    By itself OpenVINO uses bf16 where the processor supports it, so results would depend on it.
    """
    return {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}


def compile_model(
    model: openvino.Model | Path, precision: Precision = "f32", cache: Path | None = None
) -> openvino.CompiledModel:
    """Compile a network for throughput on the CPU.

    Args:
        model: the network, or its `.xml`.
        precision: what it computes in.
        cache: folder for the compiled network, or None.

    Raises:
        ModelError: OpenVINO cannot run it on this processor.
    """
    core = openvino.Core()
    if cache is not None:
        # In one folder, OpenVINO would confuse the compiled networks of two precisions.
        core.set_property({"CACHE_DIR": str(cache / precision)})
    try:
        return core.compile_model(model, "CPU", compile_options(precision))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(
            f"OpenVINO cannot run the network on this processor: {reason}",
            hint="choose another: `reidsearch models list`",
        ) from error


def compile_card(
    card: ModelCard, name: str, convert: Callable[[Path], openvino.Model], precision: Precision
) -> openvino.CompiledModel:
    """Compile a model: its exported network, or else its weights, converted once and cached.

    Args:
        card: the model.
        name: of the cached files; differs whenever the converted network does.
        convert: converts the weights.
        precision: what it computes in.

    Raises:
        ModelError: the files of the model are missing or damaged.
    """
    if card.exported is not None:
        return compile_model(_read_exported(verified_path(card, card.exported)), precision)
    weights = weights_path(card)
    version = openvino.__version__.partition("-")[0]
    path = cache_folder() / "openvino" / f"{name}-v{_CONVERSION}-{version}.xml"
    if path.exists():
        with suppress(ModelError):  # damaged: convert again
            return compile_model(path, precision, path.parent)
    model = convert(weights)
    with suppress(OSError, RuntimeError):  # the cache is optional
        _save(model, path)
    return compile_model(model, precision)


def run_each(
    compiled: openvino.CompiledModel, inputs: Iterable[NDArray[np.uint8]]
) -> Iterator[list[NDArray[np.float32]]]:
    """Run a network on each input, several at a time; may be called from several threads.

    Each input is one picture, and each core works on one: its layers then fit into the core's
    cache. In f32, OSNet at 256x128 took 18 ms a crop this way, and 27 ms in batches of 8.

    `AsyncInferQueue` is avoided: its callbacks may still hold requests when it is destroyed, and
    the thread that releases the last one then waits for itself. Inputs are shared with requests,
    not copied: two threads that copied inputs at the same time have blocked each other.

    Yields:
        All outputs of each input, in the order of the inputs.
    """
    streams = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    idle = [compiled.create_infer_request() for _ in range(streams + 1)]  # one to prepare
    # Inputs are referenced here for as long as a request uses them.
    running: deque[tuple[openvino.InferRequest, NDArray[np.uint8]]] = deque()

    def finish() -> list[NDArray[np.float32]]:
        request, _ = running.popleft()
        request.wait()
        idle.append(request)
        return [output.data.copy() for output in request.output_tensors]

    try:
        for pixels in inputs:
            if not idle:
                yield finish()
            request = idle.pop()
            request.set_input_tensor(openvino.Tensor(pixels, shared_memory=True))
            running.append((request, pixels))
            request.start_async()
        while running:
            yield finish()
    finally:  # inputs must outlive the requests that use them
        for request, _ in running:
            request.wait()


def _read_exported(path: Path) -> openvino.Model:
    """Read a zip of a network's `.xml` and `.bin`, written by `scripts/export.py`."""
    with zipfile.ZipFile(path) as archive:
        return openvino.Core().read_model(archive.read("network.xml"), archive.read("network.bin"))


def _save(model: openvino.Model, path: Path) -> None:
    """Write `.bin` and then `.xml`, whose presence shows that both are complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"partial-{path.name}")
    with FileLock(path.with_suffix(".lock")):
        openvino.save_model(model, partial, compress_to_fp16=False)
        for suffix in (".bin", ".xml"):
            partial.with_suffix(suffix).replace(path.with_suffix(suffix))
