"""Tiny networks in OpenVINO's format."""

from pathlib import Path

import numpy as np
import openvino
from openvino import opset13 as ops


def save_embedder(folder: Path, shape: list[int], dimension: int, name: str = "ir") -> Path:
    """Write a network that gives the mean of each channel it takes, and zeros."""
    taken = ops.parameter(shape, np.float32)
    means = ops.reduce_mean(taken, np.array([2, 3]), keep_dims=False)
    given = ops.matmul(means, np.eye(3, dimension, dtype=np.float32), False, False)
    return _save(openvino.Model([given], [taken]), folder / f"{name}.xml")


def save_detector(
    folder: Path,
    boxes: list[list[float]],
    labels: list[int],
    shape: tuple[int, ...] = (1, 3, 256, 448),
    names: tuple[str, str] = ("boxes", "labels"),
    name: str = "ir",
) -> Path:
    """Write a network that always finds the same boxes, if its first channel is not black.

    Their scores are multiplied by the mean of that channel, as a fraction; boxes with nothing
    left are not given, so that their number is not known before.
    """
    taken = ops.parameter(shape, np.float32)
    means = ops.reduce_mean(taken, np.array([0, 2, 3]), keep_dims=False)
    first = ops.divide(ops.gather(means, np.array([0]), np.array(0)), np.float32(255))
    all_boxes = np.array(boxes, np.float32).reshape(-1, 5)
    scores = ops.multiply(ops.constant(all_boxes[:, 4:]), first)
    rows = ops.concat([ops.constant(all_boxes[:, :4]), scores], 1)
    kept = ops.squeeze(
        ops.non_zero(ops.greater(ops.squeeze(scores, np.array([1])), np.float32(0))), [0]
    )
    outputs = [ops.gather(rows, kept, np.array(0)), ops.gather(np.array(labels), kept, np.array(0))]
    for output, output_name in zip(outputs, names, strict=True):
        output.output(0).set_names({output_name})
    return _save(openvino.Model(outputs, [taken]), folder / f"{name}.xml")


def _save(model: openvino.Model, path: Path) -> Path:
    openvino.save_model(model, path, compress_to_fp16=False)
    return path
