"""What an output means, as TensorFlow Lite metadata has it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Meant:
    """What an output means.

    Attributes:
        name, description: for people, and for MediaPipe, which finds a detector's outputs by name.
        labelled: "axis" where labels are of its places, "value" where they are of its values; None for neither.
        boxes: whether it holds boxes, y1 x1 y2 x2 of the image's sides.
        each: whether it is a list, one element a detection.
        grouped: name of the group that it belongs to.
    """

    name: str
    description: str
    labelled: str | None = None
    boxes: bool = False
    each: bool = False
    grouped: str | None = None
