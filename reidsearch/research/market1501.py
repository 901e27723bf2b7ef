"""Re-identification on labelled crops, under the protocol of Market-1501."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import DatasetError
from reidsearch.core.exact_search import l2_distances
from reidsearch.core.progress import SILENT
from reidsearch.footage.images import read_image
from reidsearch.research.datasets import GALLERY, QUERY, TRAIN, has_part, read_crops
from reidsearch.research.metrics import measure_ranking, rank_gallery, rank_query
from reidsearch.research.rerank import rerank_distances

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.progress import Progress
    from reidsearch.models.embedders import Embedder
    from reidsearch.research.datasets import CropSet
    from reidsearch.research.metrics import RankedQuery, RankingQuality

KEPT_RANKS = 50
_BATCH_CROPS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Market1501Result:
    """A data set's queries, each with its ranked gallery.

    Attributes:
        quality: mAP and CMC.
        query, gallery: the crops.
        orders: for each query the rows of `gallery`, nearest first, its own camera's left out;
            the first `KEPT_RANKS` of them.
        answers: for each query how well it was answered.
        shared_pids: identities that are also in the data set's training folder.
    """

    quality: RankingQuality
    query: CropSet
    gallery: CropSet
    orders: list[NDArray[np.intp]]
    answers: tuple[RankedQuery, ...]
    shared_pids: tuple[int, ...]


def evaluate_market1501(
    dataset: Path, embedder: Embedder, progress: Progress = SILENT, *, rerank: bool = False
) -> Market1501Result:
    """Rank the gallery of a data set for each of its queries.

    Every query is compared with every crop of `bounding_box_test`, by exact L2 distance. Crops of
    the query's identity from its own camera and junk (-1) are left out; distractors (0000) are in,
    and wrong. A query without a right match in another camera does not count. mAP is the mean over
    queries of the mean precision at each right match; rank-k is how often one is among the first k.

    Args:
        dataset: a folder in Market-1501's layout.
        embedder: any.
        progress: gets a step for each crop.
        rerank: order by k-reciprocal neighbours too.

    Raises:
        DatasetError: a folder is missing, empty or of another layout, or no query can be answered.
        ImageError: a crop cannot be decoded.
    """
    query, gallery = read_crops(dataset, QUERY), read_crops(dataset, GALLERY)
    shared = shared_identities(dataset)
    progress.phase("embedding", len(query) + len(gallery))
    query_vectors = embed_crops(query.paths, embedder, progress)
    gallery_vectors = embed_crops(gallery.paths, embedder, progress)
    if rerank:
        distance = rerank_distances(query_vectors, gallery_vectors)
    else:
        distance = l2_distances(query_vectors, gallery_vectors)
    orders = rank_gallery(distance, query.pids, query.camids, gallery.pids, gallery.camids)
    is_right = [gallery.pids[order] == pid for order, pid in zip(orders, query.pids, strict=True)]
    quality = measure_ranking(is_right)
    if not quality.queries:
        raise DatasetError(f"no query of {dataset} is seen by another camera in its gallery")
    return Market1501Result(
        quality,
        query,
        gallery,
        [order[:KEPT_RANKS].copy() for order in orders],
        tuple(map(rank_query, is_right)),
        shared,
    )


def embed_crops(
    paths: tuple[Path, ...], embedder: Embedder, progress: Progress = SILENT
) -> NDArray[np.float32]:
    """Embed pictures, a step each: `(N, D)` float32 of length 1, rounded as they are stored."""
    vectors = np.empty((len(paths), embedder.card.dimension), np.float32)
    for start in range(0, len(paths), _BATCH_CROPS):
        images = [read_image(path) for path in paths[start : start + _BATCH_CROPS]]
        vectors[start : start + len(images)] = embedder.embed(images).as_stored().vectors
        progress.advance(len(images))
    return vectors


def shared_identities(dataset: Path) -> tuple[int, ...]:
    """Identities that a data set has both in its training and in its test folders."""
    if not has_part(dataset, TRAIN):
        return ()
    tested = [
        read_crops(dataset, part).pids for part in (QUERY, GALLERY) if has_part(dataset, part)
    ]
    trained = read_crops(dataset, TRAIN).pids
    both = np.intersect1d(trained, np.concatenate([np.empty(0, np.int64), *tested]))
    return tuple(int(pid) for pid in both if pid > 0)
