"""Ranking metrics against torchreid's, and by hand."""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest

from reidsearch.core.exact_search import l2_distances
from reidsearch.models.embedders.torchreid_parts import import_part
from reidsearch.research.metrics import measure_ranking, rank_gallery
from reidsearch.research.rerank import rerank_distances


def measure(distance, query_pids, query_camids, gallery_pids, gallery_camids):
    orders = rank_gallery(distance, query_pids, query_camids, gallery_pids, gallery_camids)
    return measure_ranking(
        [gallery_pids[order] == pid for order, pid in zip(orders, query_pids, strict=True)]
    )


def unit_vectors(rng, count, dimension=16):
    vectors = rng.normal(size=(count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make_labels(rng, count, people=12):
    return rng.integers(0, people, count), rng.integers(1, 4, count)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_torchreid(seed):
    rng = np.random.default_rng(seed)
    query, gallery = make_labels(rng, 40), make_labels(rng, 200)
    distance = l2_distances(unit_vectors(rng, 40), unit_vectors(rng, 200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its missing Cython part
        evaluate_rank = import_part("metrics").evaluate_rank
    cmc, mean_ap = evaluate_rank(distance, query[0], gallery[0], query[1], gallery[1])
    ours = measure(distance, *query, *gallery)
    assert ours.mean_ap == pytest.approx(mean_ap, abs=1e-6)
    np.testing.assert_allclose(ours.cmc, cmc, atol=1e-6)


def test_by_hand():
    distance = np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.3, 0.2, 0.1]])
    gallery_pids, gallery_camids = np.array([1, 2, 1, 0, 1]), np.array([1, 2, 2, 1, 3])
    quality = measure(distance, np.array([1, 2]), np.array([1, 1]), gallery_pids, gallery_camids)
    # The first query's nearest is from its own camera; right are then ranks 2 and 4 of 4.
    assert quality.mean_ap == pytest.approx(((1 / 2 + 2 / 4) / 2 + 1 / 4) / 2)
    assert quality.cmc[:4].tolist() == [0, 0.5, 0.5, 1]
    assert quality.queries == 2


def test_query_that_cannot_be_answered_does_not_count():
    distance = np.array([[0.1, 0.2], [0.1, 0.2]])
    quality = measure(
        distance, np.array([1, 9]), np.array([1, 1]), np.array([1, 3]), np.array([2, 2])
    )
    assert (quality.queries, quality.mean_ap) == (1, 1.0)


def test_no_answerable_query_is_nan():
    quality = measure_ranking([np.zeros(3, bool)])
    assert quality.queries == 0
    assert np.isnan(quality.mean_ap)


def load_reference():
    parts = Path(importlib.util.find_spec("torchreid").submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("rerank", parts / "reid" / "utils" / "rerank.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.re_ranking


@pytest.mark.parametrize("sizes", [(5, 40), (20, 100)])
def test_rerank_agrees_with_torchreid(sizes):
    rng = np.random.default_rng(3)
    query, gallery = (unit_vectors(rng, size) for size in sizes)
    expected = load_reference()(
        l2_distances(query, gallery), l2_distances(query, query), l2_distances(gallery, gallery)
    )
    np.testing.assert_allclose(rerank_distances(query, gallery), expected, atol=1e-5)
