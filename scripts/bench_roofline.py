"""How many multiply-adds the networks need, and how many this CPU can do."""

from __future__ import annotations

import time

import numpy as np
import openvino
from openvino import opset13 as ops

from reidsearch.models.openvino_runtime import compile_options

SIDE = 1024
PRECISIONS = ("f32", "bf16", "int8")


def count_macs(model: openvino.Model) -> float:
    """Multiply-adds of the convolutions and matrix products of one inference."""
    total = 0.0
    for op in model.get_ops():
        kind = op.get_type_name()
        out = float(np.prod(op.output(0).shape)) if kind in _MACS else 0.0
        total += out * _MACS[kind](op) if out else 0.0
    return total


def _convolution(op: openvino.Node) -> float:
    return float(np.prod(op.input(1).get_shape()[1:]))  # (out, in, height, width)


def _group_convolution(op: openvino.Node) -> float:
    return float(np.prod(op.input(1).get_shape()[2:]))  # (groups, out, in, height, width)


def _product(op: openvino.Node) -> float:
    return float(op.input(0).get_shape()[-1])


_MACS = {
    "Convolution": _convolution,
    "GroupConvolution": _group_convolution,
    "MatMul": _product,
}


def measure_peaks() -> dict[str, float]:
    """Multiply-adds per second of large matrix products, by precision."""
    return {precision: _measure(precision) for precision in PRECISIONS}


def _measure(precision: str) -> float:
    rng = np.random.default_rng(0)
    left = ops.parameter([SIDE, SIDE], np.float32)
    right = ops.constant(rng.standard_normal((SIDE, SIDE), np.float32))
    if precision == "int8":
        limits = [np.float32(edge) for edge in (-4, 4, -4, 4)]
        product = ops.matmul(
            ops.fake_quantize(left, *limits, levels=255),
            ops.fake_quantize(right, *limits, levels=255),
            transpose_a=False,
            transpose_b=True,
        )
    else:
        product = ops.matmul(left, right, transpose_a=False, transpose_b=True)
    compiled = openvino.Core().compile_model(
        openvino.Model([product], [left]),
        "CPU",
        compile_options("bf16" if precision == "bf16" else "f32"),
    )
    queue = openvino.AsyncInferQueue(compiled)
    numbers = rng.standard_normal((SIDE, SIDE), np.float32)
    best = np.inf
    for _ in range(8):
        started = time.perf_counter()
        for _ in range(16):
            queue.start_async(numbers, share_inputs=True)
        queue.wait_all()
        best = min(best, time.perf_counter() - started)
    return float(16 * SIDE**3 / best)
