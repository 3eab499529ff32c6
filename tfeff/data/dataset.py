"""What a dataset is: images or arrays by number, each with a name, and labels where it has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.data.images import read_image
from tfeff.errors import TfeffError


@dataclass(frozen=True)
class Objects:
    """The boxes of an image.

    Attributes:
        boxes: float64 (n, 4), x1 y1 x2 y2 in pixels of the image, x2 and y2 exclusive.
        classes: int64 (n,).
        crowd: bool (n,), a region of many, which COCO's `iscrowd` marks.
        difficult: bool (n,), need not be found.
    """

    boxes: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray
    difficult: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """Samples, read one at a time, so that memory does not grow with their number.

    Attributes:
        name: what the user called it.
        source: where it came from, for the record.
        classes: class names, in the order of the labels; empty when there are none.
        labels: what is said of each sample, (n, ...): class numbers, 0 or 1 a label, or numbers; None where nothing is.
        names: one name per sample, for messages (a path, or "test image 17").
        notes: lines to say about it, such as what was left out.
        guessed: whether the classes are in the order of their names, which need not be that of a model's outputs.
        annotations: what else is said of each sample, by kind: `objects` (`Objects`), `semantic`, `depth` ...; a part
            may be read only when it is asked for.
        annotation_classes: names of the classes of a kind of annotation, where they are others than `classes`.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    labels: np.ndarray | None
    names: Sequence[str]
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    guessed: bool = field(default=False, kw_only=True)
    annotations: Mapping[str, Sequence[Any]] = field(default_factory=dict, kw_only=True)
    annotation_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict, kw_only=True)

    def __len__(self) -> int:
        return len(self.names)

    def image(self, number: int) -> np.ndarray:
        """uint8 (h, w) or (h, w, 3) in RGB order."""
        raise NotImplementedError

    def sample(self, number: int) -> dict[str, np.ndarray]:
        """What a model is given, by the name of its input; an image alone has the name ""."""
        return {"": self.image(number)}

    def renewed(self, epoch: int) -> "Dataset":
        """As many other samples of the same kind for each epoch of training, where they are made on demand; the dataset
        itself where they were collected."""
        return self

    def most_objects(self) -> int:
        """The largest number of boxes of an image, whatever the epoch."""
        return max((len(each.classes) for each in self.annotations["objects"]), default=0)


@dataclass(frozen=True)
class ArrayDataset(Dataset):
    """Images that lie in memory: uint8 (n, h, w) or (n, h, w, c)."""

    images: np.ndarray

    def image(self, number: int) -> np.ndarray:
        return self.images[number]


@dataclass(frozen=True)
class FileDataset(Dataset):
    """Images in files; `names` are relative to `root`."""

    root: Path

    def image(self, number: int) -> np.ndarray:
        return read_image(self.root / self.names[number])


@dataclass(frozen=True)
class TensorDataset(Dataset):
    """Inputs of a model in memory, an array (n, ...) each, by name: several inputs, or one that is no image."""

    arrays: Mapping[str, np.ndarray]

    def image(self, number: int) -> np.ndarray:
        held = ", ".join(f"{name} of type {array.dtype}, {array.shape}" for name, array in self.arrays.items())
        raise TfeffError(
            f"dataset {self.name}: holds {held}: no images",
            "give 8-bit images, uint8 (n, h, w) or (n, h, w, 3), or a model whose inputs these arrays are",
        )

    def sample(self, number: int) -> dict[str, np.ndarray]:
        return {name: array[number] for name, array in self.arrays.items()}


class Subset(Dataset):
    """Some samples of another dataset, in the given order."""

    _dataset: Dataset
    _numbers: np.ndarray

    def __init__(self, dataset: Dataset, numbers: np.ndarray):
        labels = None if dataset.labels is None else dataset.labels[numbers]
        names = [dataset.names[n] for n in numbers]
        annotations = {kind: _Chosen(parts, numbers) for kind, parts in dataset.annotations.items()}
        super().__init__(
            dataset.name, dataset.source, dataset.classes, labels, names, notes=dataset.notes,
            guessed=dataset.guessed, annotations=annotations, annotation_classes=dataset.annotation_classes,
        )  # fmt: skip
        object.__setattr__(self, "_dataset", dataset)
        object.__setattr__(self, "_numbers", numbers)

    def image(self, number: int) -> np.ndarray:
        return self._dataset.image(int(self._numbers[number]))

    def sample(self, number: int) -> dict[str, np.ndarray]:
        return self._dataset.sample(int(self._numbers[number]))

    def renewed(self, epoch: int) -> Dataset:
        renewed = self._dataset.renewed(epoch)
        return self if renewed is self._dataset else Subset(renewed, self._numbers)

    def most_objects(self) -> int:
        return self._dataset.most_objects()  # which may know without looking at each


class _Chosen(Sequence[Any]):
    """Some parts of an annotation, in the given order."""

    def __init__(self, parts: Sequence[Any], numbers: np.ndarray):
        self._parts, self._numbers = parts, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, number: Any) -> Any:
        return self._parts[int(self._numbers[number])]


def numbered(split: str, count: int) -> list[str]:
    """Names for images that have none of their own."""
    return [f"{split} image {number}" for number in range(count)]
