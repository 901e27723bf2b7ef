"""`scripts/widen.py`: what is trained narrow goes on wide."""

import subprocess
import sys
from pathlib import Path

import torch

from reidsearch.models.catalog import find_embedder
from reidsearch.models.embedders.torchreid_network import load_network
from reidsearch.models.embedders.torchreid_parts import build_network

SCRIPT = Path(__file__).parents[2] / "scripts" / "widen.py"


def test_wider_network_computes_the_same(tmp_path: Path) -> None:
    torch.manual_seed(1)
    trained = build_network("osnet_ain_x0_25")
    for name, tensor in trained.state_dict().items():
        if name.endswith("running_mean"):
            tensor.uniform_(-0.05, 0.05)
    torch.save(trained.state_dict(), tmp_path / "narrow.pt")
    narrow = f"osnet_ain_x0_25={tmp_path / 'narrow.pt'}"
    wide = tmp_path / "wide.pt"
    subprocess.run([sys.executable, SCRIPT, narrow, "osnet_ain_x0_5", wide], check=True)
    crops = torch.randn(4, 3, 128, 64)
    with torch.inference_mode():
        before = load_network(find_embedder(narrow))(crops)
        after = load_network(find_embedder(f"osnet_ain_x0_5={wide}"))(crops)
    assert before.std() > 0.01
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3 * float(before.std()))
