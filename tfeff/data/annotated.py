"""What files of boxes have in common, whatever their format: checks, and images with boxes as a dataset."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tfeff.data.dataset import FileDataset, Objects
from tfeff.data.files import exists
from tfeff.data.images import upright_size
from tfeff.errors import TfeffError
from tfeff.files import check_regular

SPLIT_WORDS = {"train": ("train", "training", "trainval"), "test": ("test", "val", "valid", "validation")}
LONGEST = 2**31  # pixels of a side that an annotation may say
_SLACK = 2.0  # pixels that a box may stick out by: programs round, and count from 0 or 1
_SLACK_SHARE = 0.01  # the same of coordinates that are shares of the image
_MEND = "mend or remove this box"
SIDES = ("left", "top", "right", "bottom")


@dataclass
class Boxes:
    """The boxes of one image on their way.

    Attributes:
        where: the file, and the place in it, for messages.
        image: relative to the dataset's root.
        size: (h, w) of the image by the annotation; None where it does not say.
        boxes: x1 y1 x2 y2, in pixels; where `size` is None in shares of the image's sides.
        classes, crowd, difficult: of each box.
    """

    where: str
    image: str
    size: tuple[int, int] | None = None
    boxes: list[Sequence[float]] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)

    def add(self, box: Sequence[float], number: int, *, crowd: bool = False, difficult: bool = False) -> None:
        self.boxes.append(box)
        self.classes.append(number)
        self.crowd.append(crowd)
        self.difficult.append(difficult)

    def finished(self) -> tuple[Objects, int]:
        """Checked and cut off at the image's border, and how many boxes stuck out.

        Raises:
            TfeffError: a box that is no number, without area, or outside the image.
        """
        boxes = np.array(self.boxes, np.float64).reshape(-1, 4)
        ends = np.array([1, 1] if self.size is None else [self.size[1], self.size[0]], np.float64)  # x and y
        slack = _SLACK_SHARE if self.size is None else _SLACK
        for box in boxes:
            what = self._fault(box, ends, slack)
            if what:
                shown = ", ".join(f"{side} {value:g}" for side, value in zip(SIDES, box, strict=True))
                raise TfeffError(f"{self.where}: a box {what} ({shown})", _MEND)
        limits = np.concatenate([ends, ends])
        cut = np.clip(boxes, 0, limits)
        count = int((np.abs(cut - boxes) > 1e-6 * limits).any(axis=1).sum())
        arrays = np.array(self.classes, np.int64), np.array(self.crowd, bool), np.array(self.difficult, bool)
        return Objects(cut, *arrays), count

    @staticmethod
    def _fault(box: np.ndarray, ends: np.ndarray, slack: float) -> str | None:
        low, high = box[:2], box[2:]
        if not np.isfinite(box).all():
            return "with a side that is no finite number"
        if (high <= low).any():
            return "without area"
        if (low < -slack).any() or (high > ends + slack).any() or (high <= 0).any() or (low >= ends).any():
            return f"outside its image of {ends[1]:g} x {ends[0]:g}, height x width"
        return None


@dataclass(frozen=True)
class BoxDataset(FileDataset):
    """Images in files, with their boxes; `sizes` (h, w) of the images as the annotations have them, None unknown."""

    sizes: Sequence[tuple[int, int] | None]

    def image(self, number: int) -> np.ndarray:
        image, said = super().image(number), self.sizes[number]
        if said is not None and image.shape[:2] != tuple(said):
            found = f"{image.shape[0]} x {image.shape[1]}, height x width, turned upright"
            raise TfeffError(
                f"{self.root / self.names[number]}: is {found}; its annotation says {said[0]} x {said[1]}",
                "give the images that were annotated",
            )
        return image


def dataset_of(
    name: str, source: Path, root: Path, classes: Sequence[str], images: Sequence[Boxes], *,
    guessed: bool = False, notes: Iterable[str] = (),
) -> BoxDataset:  # fmt: skip
    """Images with boxes as a dataset, checked.

    Args:
        name: what the user called it.
        source: the file or folder of the annotations.
        root: the folder of the images.

    Raises:
        TfeffError: no images, one that is not there, or boxes that cannot be.
    """
    if not images:
        raise TfeffError(f"{source}: names no images", "give annotations of at least one image")
    finished = [each.finished() for each in images]
    for each in images:
        if not exists(root / each.image) or not (root / each.image).is_file():
            raise TfeffError(f"{each.where}: there is no image {each.image[:200]!r} in {root}", "add or remove it")
    notes, cut = list(notes), sum(count for _, count in finished)
    if cut:
        notes.append(f"{source}: {cut:,} box{'es' * (cut > 1)} cut off at the border of the image, up to {_SLACK:g} px")
    sizes = [each.size for each in images]
    objects = _Objects(root, [each.image for each in images], sizes, [each for each, _ in finished])
    return BoxDataset(
        name, str(source), tuple(classes), None, [each.image for each in images], root, sizes, notes=tuple(notes),
        guessed=guessed, annotations={"objects": objects},
    )  # fmt: skip


class _Objects(Sequence[Objects]):
    """Boxes in pixels; shares of an image are made pixels when they are asked for, by the image's own size."""

    def __init__(self, root, images, sizes, objects):
        self._root, self._images, self._sizes, self._objects = root, images, sizes, objects

    def __len__(self) -> int:
        return len(self._objects)

    def __getitem__(self, number: Any) -> Any:
        objects = self._objects[number]
        if self._sizes[number] is not None or not len(objects.classes):
            return objects
        height, width = upright_size(self._root / self._images[number])
        pixels = objects.boxes * np.array([width, height, width, height])
        return Objects(pixels, objects.classes, objects.crowd, objects.difficult)


def inner_name(text: str, where: str) -> str:
    """A relative path as annotations have it, with `/`.

    Raises:
        TfeffError: one that leads out of its folder.
    """
    path = PurePosixPath(text.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in text or not path.parts or ":" in path.parts[0]:
        raise TfeffError(f"{where}: the image {text[:200]!r} does not lie below it", "give paths below the folder")
    return str(path)


def check_classes(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Names of classes, each once.

    Raises:
        TfeffError: none, an empty one, or one twice.
    """
    if not names:
        raise TfeffError(f"{where}: names no classes", "name each class once")
    if "" in names:
        raise TfeffError(f"{where}: a class without a name", "name each class once")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise TfeffError(f"{where}: the class {name[:100]!r} twice", "name each class once")
        seen.add(name)
    return tuple(names)


def read_bytes(path: Path, most: int, what: str) -> bytes:
    """A file's bytes.

    Raises:
        TfeffError: it cannot be read, is no regular file, or larger than `most`.
    """
    check_regular(path, "replace or remove it")
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise TfeffError(f"{path}: cannot be read ({error.strerror})", "check the file") from None
    if len(data) > most:
        raise TfeffError(f"{path}: larger than {most // 2**20:,} MiB, no {what} is", "give another file")
    return data


def read_text(path: Path, most: int, what: str) -> str:
    """The same as text in UTF-8."""
    try:
        return read_bytes(path, most, what).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TfeffError(f"{path}: is no text in UTF-8", "save it so") from None
