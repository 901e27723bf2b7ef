"""Networks in OpenVINO's own format (IR), such as those of Open Model Zoo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openvino
from openvino.preprocess import PrePostProcessor

from reidsearch.core.errors import ModelError
from reidsearch.models.weights import weight_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reidsearch.models.cards import ModelCard


def read_ir(card: ModelCard) -> openvino.Model:
    """Read an `.xml` with its `.bin`, whose one input is `(1, 3, H, W)`.

    Raises:
        ModelError: the files are missing or damaged, or the network takes something else.
    """
    paths = {path.suffix: path for path in weight_paths(card)}
    if paths.keys() != {".xml", ".bin"}:
        raise ModelError(
            f"{card.name} is not a network in OpenVINO's format",
            hint="name an .xml file that has its .bin file beside it",
        )
    try:
        model = openvino.Core().read_model(paths[".xml"], paths[".bin"])
        shape = list(model.input().shape)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(
            f"{paths['.xml']} is not a network with one fixed input: {reason}"
        ) from error
    if shape != [1, 3, *card.input_hw]:
        raise not_this_network(card, f"its input is {shape}")
    return model


def not_this_network(card: ModelCard, reason: str) -> ModelError:
    """The error for an IR that is another network than its card says."""
    path = next(path for path in weight_paths(card) if path.suffix == ".xml")
    return ModelError(f"{path} is not {card.name}: {reason}")


def take_pixels(
    model: openvino.Model,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    std: Sequence[float] = (1 / 255, 1 / 255, 1 / 255),
    *,
    reverse_channels: bool = False,
) -> openvino.Model:
    """Change a network's input to `(1, H, W, 3)` uint8 RGB.

    Args:
        model: its input is `(1, 3, H, W)`, normalised.
        mean: per RGB channel, of values in `[0, 1]`, which it is normalised with.
        std: likewise; the default of both leaves values as they are.
        reverse_channels: whether its input is BGR.
    """
    processor = PrePostProcessor(model)
    pixels = processor.input()
    pixels.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    pixels.model().set_layout(openvino.Layout("NCHW"))
    steps = pixels.preprocess().convert_element_type(openvino.Type.f32)
    steps.mean([255 * part for part in mean]).scale([255 * part for part in std])
    if reverse_channels:
        steps.reverse_channels()
    return processor.build()
