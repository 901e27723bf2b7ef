import numpy as np
import pytest
import torch

from reidsearch.core.errors import DatasetError, TrainingError
from reidsearch.core.types import Embeddings
from reidsearch.models.cards import EmbedderCard
from reidsearch.research.training.distil import CHECKPOINT, Distiller, Lesson, draw_rows
from reidsearch.research.training.pack import Pack, read_pack, write_pack
from reidsearch.research.training.views import ViewStore, make_views

HW = (32, 16)
LESSON = Lesson(architecture="osnet_x0_25", input_hw=HW, batch=8, batches=2, warmup=2, averaged=2)


class Colours:
    """A teacher who sees the mean colour of each half."""

    card = EmbedderCard(
        name="colours", about="", license="", data_license="", architecture="x",
        dimension=6, input_hw=HW,
    )  # fmt: skip

    def __init__(self):
        self.asked = 0

    def embed(self, images):
        self.asked += len(images)
        halves = np.stack([[i[:16].mean(axis=(0, 1)), i[16:].mean(axis=(0, 1))] for i in images])
        vectors = halves.reshape(len(images), 6).astype(np.float32) + 1
        return Embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), "colours")


def make_pack(count, size=3):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, *HW, 3), dtype=np.uint8)
    return Pack(pixels, np.arange(count) // size)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr("reidsearch.research.training.views.SHARD_VIEWS", 16)
    views = ViewStore(tmp_path / "views", make_pack(24), HW, 1)
    views.extend([Colours(), Colours()])
    views.extend([Colours(), Colours()])
    return views


def test_pack_keeps_crops_and_who_comes_together(tmp_path):
    crops = [(np.full((9, 5, 3), value, np.uint8), name) for value, name in ((7, "a"), (9, "b"))]
    pack = write_pack(tmp_path / "pack", [*crops, crops[0]], HW)
    assert pack.groups.tolist() == [0, 1, 0]
    assert pack.pixels.shape == (3, *HW, 3)
    assert pack.pixels[:, 0, 0, 0].tolist() == [7, 9, 7]
    assert sorted(path.name for path in (tmp_path / "pack").iterdir()) == [
        "groups.npy", "pixels.npy",
    ]  # fmt: skip


def test_pack_of_nothing_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(DatasetError, match="no crops"):
        write_pack(tmp_path, [], HW)
    assert not list(tmp_path.iterdir())
    with pytest.raises(DatasetError, match="no pack"):
        read_pack(tmp_path)


def test_rows_of_a_pack_must_agree():
    with pytest.raises(ValueError, match="rows differ"):
        Pack(np.zeros((2, *HW, 3), np.uint8), np.zeros(3, np.int64))


def test_seed_decides_views():
    pixels = make_pack(6).pixels
    rows = np.array([4, 0])
    views = make_views(pixels, rows, (1, 2))
    assert views.shape == (2, *HW, 3)
    assert np.array_equal(views, make_views(pixels, rows, (1, 2)))
    assert not np.array_equal(views, make_views(pixels, rows, (1, 3)))


def test_views_show_every_crop_once_a_round_groups_together(store):
    assert len(store) == 24
    assert sorted(store.rows) == list(range(24))
    assert np.count_nonzero(np.diff(store.groups)) == 7
    store.extend([Colours()])
    assert len(store) == 40


def test_teachers_saw_what_the_student_sees(store):
    pixels, taught = store.pick(np.array([0, 17, 23]))
    assert taught.shape == (3, 12)
    assert np.linalg.norm(taught, axis=1) == pytest.approx(np.ones(3), abs=1e-3)
    seen = Colours().embed(list(pixels)).vectors
    assert taught[:, :6] * np.sqrt(2) == pytest.approx(seen, abs=1e-3)


def test_rows_are_found_after_a_shard_that_is_not_full(tmp_path, store):
    store.extend([Colours(), Colours()])
    pixels, taught = store.pick(np.arange(24, 40))
    assert taught[:, 6:] * np.sqrt(2) == pytest.approx(
        Colours().embed(list(pixels)).vectors, abs=1e-3
    )


def test_views_on_disk_are_not_asked_for_again(tmp_path, store):
    again = ViewStore(tmp_path / "views", make_pack(24), HW, 1)
    assert again.shards == 2
    assert np.array_equal(again.rows, store.rows)
    assert np.array_equal(again.pick(np.array([20]))[0], store.pick(np.array([20]))[0])


def test_no_view_comes_twice_in_a_batch_and_groups_come_together(store):
    batches = list(draw_rows(store, LESSON, np.random.default_rng(0)))
    assert len(batches) == 2
    for rows in batches:
        assert len(set(rows.tolist())) == len(rows) == 8
        assert len(np.unique(store.groups[rows])) < 8


@pytest.mark.slow
def test_it_learns(tmp_path, store):
    lesson = Lesson(
        architecture="osnet_x0_25", input_hw=HW, batch=16, batches=15, warmup=2, lr=2e-3
    )
    distiller = Distiller(lesson, {}, 12, tmp_path)
    before = {name: tensor.clone() for name, tensor in distiller.state().items()}
    losses = [distiller.run_round(store).loss for _ in range(2)]
    assert losses[1] < losses[0]
    after = distiller.state()
    assert not any(name.startswith("classifier") for name in after)
    assert any(not torch.equal(before[name], after[name]) for name in after)


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path, store):
    first = Distiller(LESSON, {}, 12, tmp_path)
    first.run_round(store)
    again = Distiller(LESSON, {}, 12, tmp_path)
    assert again.log == first.log
    assert all(torch.equal(tensor, again.state()[n]) for n, tensor in first.state().items())
    once, twice = (d.run_round(store) for d in (first, again))
    assert once.loss == pytest.approx(twice.loss, rel=1e-4)
    assert once.round == 2


def test_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"not one")
    with pytest.raises(TrainingError, match="damaged"):
        Distiller(LESSON, {}, 12, tmp_path)
