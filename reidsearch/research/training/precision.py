"""The precision that networks learn in."""

from __future__ import annotations

import torch


def autocast(device: torch.device) -> torch.autocast:
    """Lets a network compute in bfloat16 where the hardware does; emulated it would be slower."""
    return torch.autocast(device.type, torch.bfloat16, enabled=_has_bf16(device))


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    supported: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001 - the only way
    return supported
