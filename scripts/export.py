"""Write a model of the catalogue as OpenVINO reads it, which needs neither torch nor TensorFlow.

    scripts/export.py NAME

Writes models/NAME.zip, weights in float16, and prints what the catalogue says of it.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

import openvino

from reidsearch.core.files import hash_file
from reidsearch.models.cards import EmbedderCard
from reidsearch.models.catalog import all_cards
from reidsearch.models.detectors.openvino_graph import cut_graph
from reidsearch.models.embedders.openvino_export import export
from reidsearch.models.weights import weights_path

_TIME = (1980, 1, 1, 0, 0, 0)  # the same network makes the same file


def main(name: str) -> None:
    """Convert the network of that name."""
    card = next((card for card in all_cards() if card.name == name), None)
    if card is None:
        sys.exit(f"{name} is not in the catalogue: see `reidsearch models list`")
    if isinstance(card, EmbedderCard):
        model = export(card)
    else:
        model = cut_graph(weights_path(card), card.input_hw)
    out = Path(__file__).parents[1] / "models" / f"{name}.zip"
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(out, "w") as archive:
        openvino.save_model(model, Path(folder) / "network.xml", compress_to_fp16=True)
        for file in ("network.xml", "network.bin"):
            content = (Path(folder) / file).read_bytes()
            archive.writestr(zipfile.ZipInfo(file, _TIME), content, zipfile.ZIP_DEFLATED, 9)
    print(f'name = "{out.name}"\nsha256 = "{hash_file(out)}"\nbytes = {out.stat().st_size}')


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) == 2 else "")
