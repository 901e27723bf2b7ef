"""People in a picture from outside: which of them is searched for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reidsearch.core.errors import QueryError, SeveralPeopleError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.core.types import Scene

# Crops of people are narrower than what cameras and phones take.
_CROP_SHAPE = 2
# Of a less narrow crop, its person's box covers more than this.
_CROP_SHARE = 1 / 3


def is_narrow(image: NDArray[np.uint8]) -> bool:
    """Whether a picture has the shape of a crop of one person, so that it is no scene."""
    height, width = image.shape[:2]
    return bool(height >= _CROP_SHAPE * width)


def choose_person(
    scene: Scene, person: int | None = None
) -> tuple[float, float, float, float] | None:
    """Choose one of the people that were found in a picture.

    Args:
        scene: the picture.
        person: the n-th of them, by descending score; None takes the only one.

    Returns:
        Its box; or None for the picture as a whole, which is a crop of one person: it is higher
        than wide, and one box covers much of it, or there is none.

    Raises:
        SeveralPeopleError: there are several.
        QueryError: there is nobody, or no such person.
    """
    boxes = scene.boxes_xyxy
    height, width = scene.image.shape[:2]
    largest = max(((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes.values()), default=None)
    is_crop = largest is None or largest > _CROP_SHARE * height * width
    if person is None and height > width and is_crop:
        return None
    if not boxes:
        raise QueryError(
            f"nobody was found in {scene.path}", hint="say where the person is: --box X1,Y1,X2,Y2"
        )
    if person is None and len(boxes) > 1:
        raise SeveralPeopleError(scene)
    if (person or 1) not in boxes:
        raise QueryError(f"{scene.path} has no person {person}", hint=f"it has 1 to {len(boxes)}")
    return boxes[person or 1]
