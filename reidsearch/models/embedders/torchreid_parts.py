"""torchreid's networks and losses, without importing the rest of it."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from reidsearch.core.errors import ModelError

# These flatten the output of one of their parts with `view`, which needs it contiguous in NCHW.
_FLATTENED = {"pcb_p4": "parts_avgpool", "pcb_p6": "parts_avgpool", "mudeep": "block5"}
_PARENTS = ("torchreid", "torchreid.reid")


def build_network(architecture: str, *, identities: int = 1, loss: str = "softmax") -> Any:
    """Build one of torchreid's networks with random weights; nothing is downloaded.

    Args:
        architecture: torchreid's name.
        identities: outputs of the classifier that training needs.
        loss: `softmax`, or `triplet` to get `(logits, features)` while training.

    Returns:
        A `torch.nn.Module`; in evaluation mode it turns `(N, 3, H, W)` into `(N, D)`.

    Raises:
        ModelError: torchreid has no such network.
    """
    models = import_part("models")
    try:
        network = models.build_model(
            architecture, num_classes=identities, loss=loss, pretrained=False, use_gpu=False
        )
    except KeyError as error:
        raise ModelError(f"torchreid has no network {architecture!r}", hint=error.args[0]) from None
    if architecture in _FLATTENED:
        part = getattr(network, _FLATTENED[architecture])
        part.register_forward_hook(lambda _module, _input, output: output.contiguous())
    return network


def is_classifier(name: str) -> bool:
    """Whether a part of a network, by its name, is the classifier of the training set."""
    return name.startswith("classifier")


def import_part(name: str) -> Any:
    """Import `torchreid.reid.NAME` alone.

    `import torchreid` also loads its training engine and with it TensorBoard, TensorFlow, scipy and
    gdown, which takes seconds and needs packages that torchreid does not declare. The networks and
    losses need only torch, so empty modules stand in for the two parent packages during the import.
    """
    part = f"torchreid.reid.{name}"
    if "torchreid" in sys.modules:
        return importlib.import_module(part)
    spec = find_spec("torchreid")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("torchreid is not installed", name="torchreid")
    path = spec.submodule_search_locations[0]
    for parent, folder in zip(_PARENTS, (path, f"{path}/reid"), strict=True):
        stand_in = ModuleType(parent)
        stand_in.__path__ = [folder]
        sys.modules[parent] = stand_in
    try:
        return importlib.import_module(part)
    finally:
        for parent in _PARENTS:  # a later `import torchreid` gets the real ones
            del sys.modules[parent]
