"""What every detector does, over the built-in graph and one of another making."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reidsearch.core.boxes import iou_matrix
from reidsearch.core.errors import ModelError
from reidsearch.core.provenance import DetectionSettings
from reidsearch.footage.images import read_image
from reidsearch.models.catalog import default_detector, find_detector
from reidsearch.models.detectors import Detector, load_detector
from reidsearch.research.footage import measure_detection
from reidsearch.research.mot import read_mot
from tests.contract.networks import save_detector, save_embedder

pytestmark = pytest.mark.networks

SETTINGS = DetectionSettings(0.25, 24, "auto")


@pytest.fixture(scope="module", params=["auto", pytest.param("reference", marks=pytest.mark.slow)])
def built_in(request: pytest.FixtureRequest) -> Detector:
    return load_detector(find_detector(default_detector()), SETTINGS, request.param)


def write_graph(
    path: Path, boxes: list[list[float]], scores: list[float], classes: list[int]
) -> Path:
    """Write a frozen graph that looks at nothing and always finds the same."""
    from reidsearch.models.detectors.tensorflow_graph import tf

    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.uint8, (1, None, None, 3), name="image_tensor")
        nothing = tf.cast(tf.reduce_sum(image) * 0, tf.float32)
        for name, values in (("boxes", boxes), ("scores", scores), ("classes", classes)):
            tf.add(tf.constant([values], tf.float32), nothing, name=f"detection_{name}")
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def test_no_frames(built_in: Detector) -> None:
    assert built_in.detect([]) == []


@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 300), (300, 2), (576, 768), (200, 12_000), (97, 41)], ids=str
)
def test_nobody_in_an_even_picture_of_any_size(built_in: Detector, shape: tuple[int, int]) -> None:
    [found] = built_in.detect([np.full((*shape, 3), 120, np.uint8)])
    assert found.xyxy.shape == (0, 4)


def test_people_of_a_real_frame(built_in: Detector, sample: Path) -> None:
    image = read_image(sample / "frame_0001.jpg")
    [found] = built_in.detect([image])
    assert len(found) == 3
    assert (np.diff(found.score) <= 0).all()
    assert (found.score >= 0.25).all()
    assert (found.xyxy >= 0).all()
    assert (found.xyxy <= [768, 576, 768, 576]).all()
    truth = np.array([[499, 158, 530, 233], [258, 219, 291, 308], [633, 242, 675, 323]], np.float32)
    assert (iou_matrix(truth, found.xyxy).max(axis=1) > 0.5).all()


def test_colour_order_matters(built_in: Detector, sample: Path) -> None:
    images = [read_image(path) for path in sorted(sample.glob("*.jpg"))[::8]]
    right = built_in.detect(images)
    swapped = built_in.detect([np.ascontiguousarray(image[..., ::-1]) for image in images])
    assert sum(d.score.sum() for d in right) > sum(d.score.sum() for d in swapped)


def test_frames_together_equal_frames_alone(built_in: Detector, sample: Path) -> None:
    images = [read_image(sample / f"frame_{n:04}.jpg") for n in (1, 201, 401)]
    images.append(images[0][100:400, 200:500])
    for image, together in zip(images, built_in.detect(images), strict=True):
        [alone] = built_in.detect([image])
        assert together.xyxy == pytest.approx(alone.xyxy, abs=0.01)
        assert together.score == pytest.approx(alone.score, abs=1e-4)


def test_tiles_find_more_small_people(built_in: Detector, sample: Path) -> None:
    whole = load_detector(find_detector(default_detector()), DetectionSettings(0.25, 24, "off"))
    truth = read_mot(sample / "gt.txt").frames
    images = {n: read_image(sample / f"frame_{n:04}.jpg") for n in sorted(truth)[::5]}

    def recall(detector: Detector) -> float:
        found = dict(zip(images, detector.detect(list(images.values())), strict=True))
        return measure_detection(found, truth, 0.25).recall

    assert recall(built_in) > 1.1 * recall(whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exported", "overlap", "score"),
    [
        pytest.param({}, 0.9, 0.02, id="shipped-in-float16"),
        pytest.param({"exported": None}, 0.99, 0.01, id="cut-here"),
    ],
)
def test_network_alone_finds_what_the_graph_does(
    sample: Path, exported: dict[str, None], overlap: float, score: float
) -> None:
    card = find_detector(default_detector())
    cut = load_detector(replace(card, **exported), SETTINGS)
    reference = load_detector(card, SETTINGS, "reference")
    images = [read_image(path) for path in sorted(sample.glob("*.jpg"))]
    for ours, theirs in zip(cut.detect(images), reference.detect(images), strict=True):
        iou = iou_matrix(theirs.xyxy, ours.xyxy)
        assert iou.shape[0] == iou.shape[1]
        assert (iou.max(axis=1) >= overlap).all()
        assert ours.score[iou.argmax(axis=1)] == pytest.approx(theirs.score, abs=score)


@pytest.mark.parametrize("name", ["faster_rcnn_inception_v2_coco", default_detector()])
def test_any_object_detection_graph(tmp_path: Path, name: str) -> None:
    path = write_graph(
        tmp_path / "graph.pb",
        boxes=[[0.1, 0.2, 0.6, 0.4], [0.5, 0.5, 0.9, 0.9], [-0.2, 0.8, 0.5, 1.3], [0, 0, 0.01, 1]],
        scores=[0.9, 0.95, 0.6, 0.8],
        classes=[1, 3, 1, 1],
    )
    card = find_detector(f"{name}={path}")
    [found] = load_detector(card, DetectionSettings(0.5, 24, "auto")).detect(
        [np.zeros((200, 100, 3), np.uint8)]
    )
    # Class 3 is a car; the last box is 2 pixels high; the third is clipped to the frame.
    assert found.xyxy.tolist() == pytest.approx(np.array([[20, 20, 40, 120], [80, 0, 100, 100]]))
    assert found.score.tolist() == pytest.approx([0.9, 0.6])


@pytest.mark.parametrize("name", ["faster_rcnn_inception_v2_coco", default_detector()])
def test_a_graph_of_something_else(tmp_path: Path, name: str) -> None:
    from reidsearch.models.detectors.tensorflow_graph import tf

    graph = tf.Graph()
    with graph.as_default():
        tf.constant(1.0, name="answer")
    path = tmp_path / "other.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(ModelError, match="Object Detection") as caught:
        load_detector(find_detector(f"{name}={path}"), SETTINGS)
    assert "image_tensor" in caught.value.hint


IR = "person-vehicle-bike-detection-2004"  # which takes 256x448


def test_openvino_detector(tmp_path: Path) -> None:
    boxes = [[44.8, 25.6, 89.6, 153.6, 0.8], [0, 0, 224, 256, 1], [224, 0, 448, 250, 0.9]]
    path = save_detector(tmp_path, [*boxes, [0, 0, 9, 9, 0]], labels=[1, 0, 1, 1])
    detector = load_detector(find_detector(f"{IR}={path}"), DetectionSettings(0.25, 24, "off"))
    blue, red = (np.full((200, 100, 3), rgb, np.uint8) for rgb in ((9, 0, 255), (255, 0, 0)))
    found, nobody = detector.detect([blue, red])
    # It takes BGR; class 0 is a vehicle.
    expected = np.array([[50, 0, 100, 195.3], [10, 20, 20, 120]])
    assert found.xyxy.tolist() == pytest.approx(expected, abs=0.1)
    assert found.score.tolist() == pytest.approx([0.9, 0.8], abs=0.01)
    assert len(nobody) == 0


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        pytest.param({"shape": (1, 3, 480, 864)}, "its input is", id="size"),
        pytest.param({"names": ("boxes", "scores")}, "its outputs are boxes, scores", id="outputs"),
    ],
)
def test_other_openvino_detector_is_refused(tmp_path: Path, other: dict, reason: str) -> None:
    path = save_detector(tmp_path, [[0, 0, 9, 9, 1]], [1], **other)
    with pytest.raises(ModelError, match=reason):
        load_detector(find_detector(f"{IR}={path}"), SETTINGS)


def test_openvino_embedder_or_swapped_weights_are_refused(tmp_path: Path) -> None:
    path = save_embedder(tmp_path, [1, 3, 256, 448], 256)
    with pytest.raises(ModelError, match="its outputs are"):
        load_detector(find_detector(f"{IR}={path}"), SETTINGS)
    save_detector(tmp_path, [[0, 0, 9, 9, 1]], [1])
    path.with_suffix(".bin").write_bytes(b"other weights")
    with pytest.raises(ModelError, match="ir"):
        load_detector(find_detector(f"{IR}={path}"), SETTINGS)


@pytest.mark.parametrize("operation", ["WriteFile", "PyFunc", "ReadFile"])
def test_a_graph_that_does_more_than_compute(tmp_path: Path, operation: str) -> None:
    from reidsearch.models.detectors.tensorflow_graph import tf

    path = write_graph(tmp_path / "graph.pb", [[0, 0, 1, 1]], [0.9], [1])
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(path.read_bytes())
    definition.node.add(name="innocent", op=operation)
    path.write_bytes(definition.SerializeToString())
    spec = f"faster_rcnn_inception_v2_coco={path}"
    with pytest.raises(ModelError, match=f"unsafe operations: {operation}"):
        load_detector(find_detector(spec), SETTINGS)


@pytest.mark.parametrize("content", [b"", b"no graph at all", bytes(range(256))], ids=repr)
def test_a_file_that_is_no_graph(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.pb"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"other\.pb|Object Detection"):
        load_detector(find_detector(f"{default_detector()}={path}"), SETTINGS)
