"""Every kind of network that torchreid has can be trained, saved and used."""

from pathlib import Path

import numpy as np
import pytest

from reidsearch.models.catalog import find_embedder
from reidsearch.models.embedders import load_embedder
from reidsearch.research.training.batches import TrainingSet
from reidsearch.research.training.card import write_card
from reidsearch.research.training.recipe import Recipe
from reidsearch.research.training.trainer import Trainer

pytestmark = pytest.mark.slow

LABELS = np.array([0, 0, 1, 1])


@pytest.mark.parametrize(
    ("architecture", "input_hw", "weight"),
    [
        pytest.param("resnet18", (128, 64), 0.0, id="resnet-softmax"),
        pytest.param("resnet50mid", (128, 64), 1.0, id="resnet50mid"),
        pytest.param("osnet_ibn_x1_0", (128, 64), 1.0, id="osnet-ibn"),
        pytest.param("mobilenetv2_x1_0", (128, 64), 1.0, id="mobilenet"),
        pytest.param("pcb_p4", (128, 64), 1.0, id="several-logits"),
        pytest.param("mudeep", (256, 128), 1.0, id="flattens"),
        pytest.param(
            *("hacnn", (160, 64), 1.0),
            marks=pytest.mark.filterwarnings("ignore:.*(upsample|grid_sample):UserWarning"),
            id="two-classifiers",
        ),
    ],
)
def test_architecture(
    tmp_path: Path, architecture: str, input_hw: tuple[int, int], weight: float
) -> None:
    recipe = Recipe(
        architecture=architecture,
        input_hw=input_hw,
        epochs=1,
        identities=2,
        crops=2,
        triplet_weight=weight,
    )
    data = TrainingSet((tmp_path,) * 4, LABELS, np.zeros(4, np.int64), "data")
    crops = np.random.default_rng(0).integers(0, 256, (4, *input_hw, 3), dtype=np.uint8)
    taught = np.eye(4, 8, dtype=np.float32)
    trainer = Trainer(recipe, data, 8 if weight else 0, None, tmp_path)
    assert [*trainer.run(crops, taught if weight else None)] == trainer.log
    card = write_card(
        tmp_path,
        recipe,
        trainer.state(),
        dimension=trainer.dimension,
        training={"datasets": {"noise": {}}},
    )
    embeddings = load_embedder(find_embedder(str(card))).embed(list(crops[:3]))
    assert embeddings.vectors.shape == (3, trainer.dimension)
