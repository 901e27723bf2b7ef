"""torchreid's network definitions, without the rest of torchreid."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_PARENTS = ("torchreid", "torchreid.reid")


def build_network(architecture: str) -> Any:
    """Build one of torchreid's networks with random weights; nothing is downloaded.

    Returns:
        A `torch.nn.Module`; in evaluation mode it turns `(N, 3, H, W)` into `(N, D)`.
    """
    models = _import_models()
    return models.build_model(architecture, num_classes=1, pretrained=False, use_gpu=False)


def _import_models() -> ModuleType:
    """Import `torchreid.reid.models` alone.

    `import torchreid` also loads its training engine: TensorBoard, through it TensorFlow, scipy,
    gdown: seconds of time, and packages that torchreid needs but does not declare. The networks
    need torch only, so empty parents stand in for the two packages above them while they load.
    """
    if "torchreid" in sys.modules:
        return importlib.import_module("torchreid.reid.models")
    spec = find_spec("torchreid")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("torchreid is not installed", name="torchreid")
    path = spec.submodule_search_locations[0]
    for parent, folder in zip(_PARENTS, (path, f"{path}/reid"), strict=True):
        stand_in = ModuleType(parent)
        stand_in.__path__ = [folder]
        sys.modules[parent] = stand_in
    try:
        return importlib.import_module("torchreid.reid.models")
    finally:
        for parent in _PARENTS:  # a later `import torchreid` gets the real ones
            del sys.modules[parent]
