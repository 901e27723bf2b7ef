"""What is known of a model: its files, who made it, and what it takes and gives."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from reidsearch.core import extras
from reidsearch.core.calibration import Calibration  # noqa: TC001 - `parse_as` reads the types

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """One file of a model's weights; `weights.locate` says where it is.

    Attributes:
        name: of the file in `models/`, in `package`, or, with a `url`, in the cache folder; the
            absolute path of a user's own file.
        sha256: of the file; empty while it is only known packed in an archive.
        bytes: its size, or that of the archive that has not been downloaded; 0 if not known.
        package: an installed package that contains it.
        url: where to download it, or a tar archive that contains it.
        member, archive_sha256: its name in that archive, and the archive's sha256.
    """

    name: str
    sha256: str = ""
    bytes: int = 0
    package: str = ""
    url: str = ""
    member: str = ""
    archive_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One model.

    Attributes:
        name: as the command line takes it; `NAME=PATH` with weights of the user's own.
        files: its weights, which together are its identity; none if users bring their own.
        exported: the same network in a zip that OpenVINO reads, made by `scripts/export.py`; else
            the network is converted when it is first used.
        license, data_license: of the code and weights; of the data they were trained on.
        measured: how good it is, by `scripts/bench_pairs.py`, and how fast: on two cores with
            AVX-512, in frames of 768x576.
        input_hw: height and width, in pixels, of the network's input.
    """

    name: str
    input_hw: tuple[int, int]
    about: str = ""
    files: tuple[WeightFile, ...] = ()
    exported: WeightFile | None = None
    license: str = ""
    data_license: str = ""
    measured: str = ""

    @property
    def sha256(self) -> str:
        """Identifies the weights: over all files; empty if one of them is not known yet."""
        hashes = sorted(file.sha256 for file in self.files)
        if len(hashes) < 2 or "" in hashes:
            return min(hashes, default="")
        return hashlib.sha256(" ".join(hashes).encode()).hexdigest()

    @property
    def bytes(self) -> int:
        """Size of all files together; 0 if not known."""
        return sum(file.bytes for file in self.files)

    @property
    def input_size(self) -> str:
        """Height and width of its input, as text."""
        height, width = self.input_hw
        return f"{height}x{width}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorCard(ModelCard):
    """A network that finds people in frames.

    Attributes:
        architecture: `ssd` or `faster_rcnn`, a frozen graph of the TensorFlow Object Detection
            API; or `openvino_ir`, which suppresses overlapping boxes itself.
        person_class: the class id of "person".
        min_score: the score from which its boxes are trusted, in `[0, 1]`.
        smallest_px: the height, in its input, of people whom it still finds well; see
            `choose_grids`.
        input_hw: frames are stretched to it; `faster_rcnn` resizes them to fit, as they are.
    """

    architecture: str
    person_class: int
    min_score: float
    smallest_px: int = 60

    @property
    def needs(self) -> tuple[str, ...]:
        """Packages of the extra `reference` without which it does not run."""
        return extras.TENSORFLOW if self.architecture == "faster_rcnn" else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderCard(ModelCard):
    """A network that embeds crops.

    Attributes:
        architecture: torchreid's name of it, or `openvino_ir`.
        dimension: D of its vectors.
        mean, std: per RGB channel, of values in `[0, 1]`.
        calibration: what its distances mean, if that was measured.
    """

    architecture: str
    dimension: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    calibration: Calibration | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Packages of the extra `reference` without which it does not run."""
        return () if self.exported or self.architecture == "openvino_ir" else extras.TORCH

    @property
    def fingerprint(self) -> str:
        """Identifies the vector space: sha256 over the weights and the preprocessing."""
        space = {
            "weights": self.sha256,
            "architecture": self.architecture,
            "input_hw": list(self.input_hw),
            "mean": list(self.mean),
            "std": list(self.std),
            "pixels": "RGB, Pillow bilinear, L2-normalised output",
        }
        return hashlib.sha256(json.dumps(space, sort_keys=True).encode()).hexdigest()
