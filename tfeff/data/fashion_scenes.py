"""fashion_scenes: real Fashion-MNIST items in textured scenes, made on demand: one generator for boxes, masks, depth
and stereo pairs.

A scene has a coloured ground, a plane that is farther at the top, and 1 to 5 items at random depth, turned, mirrored,
tinted and painted the farthest first. An item is 0.55 to 0.75 m wide, so that its size tells its depth. Scenes of
`test` are made of Fashion-MNIST's test images, scenes of `train` of its training images; the same split and number give
the same bytes.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from tfeff.data.dataset import Dataset, Objects
from tfeff.data.fashion_mnist import CLASSES, load_fashion_mnist, load_sample

SIZE = (96, 96)
COUNTS = {"train": 20_000, "test": 2_000}  # scenes of the dataset; the generator makes any number
FOCAL = 96.0  # pixels at a width of 96, more with the width
NEAR, FAR = 1.0, 6.0  # metres, of the items
BASELINE = 0.10  # metres between the two views: disparity = focal length * baseline / depth
_SEEN = 0.35  # share of an item that must be visible, or it is left out
_OCTAVES = ((2, 0.18), (5, 0.12), (13, 0.08), (37, 0.06))  # cells of the ground's noise, and how strong it is
_INK = 0.12  # a pixel of an item, 0 to 1, from which on it is part of it
_SIDE = 28  # of an item, pixels
_GROUND = "ground"  # what of a scene is no item


@dataclass(frozen=True)
class Scene:
    """What is known of a scene of (h, w).

    Attributes:
        image: uint8 (h, w, 3).
        boxes: float64 (n, 4), of what is visible, x1 y1 x2 y2 in pixels, x2 and y2 exclusive.
        classes: int64 (n,), of Fashion-MNIST.
        instances: uint8 (h, w), 0 is the ground, n the item of box n - 1.
        semantic: uint8 (h, w), 0 is the ground, else the class + 1.
        depth: float32 (h, w), metres.
        disparity: float32 (h, w), pixels from the left view, which is `image`, to the right one.
        right: uint8 (h, w, 3), the right view; None where it was not asked for.
        seen_right: bool (h, w), whether the right view shows the same point; None without it.
    """

    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    instances: np.ndarray
    semantic: np.ndarray
    depth: np.ndarray
    disparity: np.ndarray
    right: np.ndarray | None = None
    seen_right: np.ndarray | None = None


@dataclass(frozen=True)
class _Item:
    """One item and where it is; `cx` and `cy` in pixels, `size` of its square of 28 pixels, `shift` its disparity."""

    texture: np.ndarray  # float32 (30 * 30, 2), alpha and light with a border of 0
    area: float
    label: int
    size: float
    angle: float
    flip: int
    tint: np.ndarray
    dark: float
    cx: float
    cy: float
    shift: float


class SceneMaker:
    """Makes scenes of one split by number; `most` items each."""

    def __init__(self, split: str, size: tuple[int, int] = SIZE, most: int = 5, *, sample: bool = False):
        """
        Args:
            split: "train" or "test".
            size: (h, w) in pixels; as large a thing covers more of them, not less of the view.
            most: items of a scene.
            sample: of the items that are bundled, 512 and 1,024, rather than of all.

        Raises:
            TfeffError: Fashion-MNIST is not on this machine.
        """
        items = load_sample(split) if sample else load_fashion_mnist(split)
        assert items.labels is not None
        self._images, self._labels = items.images, items.labels
        self._seed, self._size, self.most = zlib.crc32(f"fashion_scenes/{split}".encode()), size, most

    def scene(self, number: int, *, stereo: bool = False) -> Scene:
        """The scene of a number, 0 or more; with `stereo` its right view too. All else is the same without."""
        random = np.random.default_rng([self._seed, number])
        height, width = self._size
        ground = _ground(random, height, width + width // 2, width + (width // 2 if stereo else 0))
        noise = np.float32(random.uniform(0.0, 0.03))
        focal = FOCAL * width / 96
        ends = focal * BASELINE / (FAR * 1.6), focal * BASELINE / (FAR * 1.05)
        plane = np.linspace(*ends, height)[:, None]  # disparity of the ground, (h, 1)
        items = [self._place(random, focal) for _ in range(int(random.integers(1, self.most + 1)))]
        items.sort(key=lambda item: item.shift)  # the farthest first
        items, patches, owner = _visible(items, self._size)
        image = _painted(ground[:, :, :width].copy(), patches)
        classes = np.array([item.label for item in items], np.int64)
        shifts = np.array([0.0, *(item.shift for item in items)])
        disparity = np.where(owner > 0, shifts[owner], plane)
        found = dict(
            image=_finished(image, noise, random), boxes=_boxes(owner, len(items)), classes=classes, instances=owner,
            semantic=np.concatenate([[0], classes + 1]).astype(np.uint8)[owner],
            depth=(focal * BASELINE / disparity).astype(np.float32), disparity=disparity.astype(np.float32),
        )  # fmt: skip
        if not stereo:
            return Scene(**found)
        patches = [_patch(item, self._size, item.shift) for item in items]
        right = _finished(_painted(_shifted(ground, plane, width), patches), noise, random)
        column = np.rint(np.arange(width) - disparity).astype(int)
        theirs = np.take_along_axis(_owners(patches, self._size), np.clip(column, 0, width - 1), 1)
        return Scene(**found, right=right, seen_right=(column >= 0) & (theirs == owner))

    def _place(self, random: np.random.Generator, focal: float) -> _Item:
        height, width = self._size
        number = int(random.integers(len(self._images)))
        inverse = random.uniform(1 / FAR, 1 / NEAR)  # of the depth: even in disparity
        size = focal * random.uniform(0.55, 0.75) * inverse
        angle, flip = np.deg2rad(random.uniform(-20, 20)), 2 * int(random.integers(2)) - 1
        tint, dark = random.uniform(0.35, 1.0, 3).astype(np.float32), random.uniform(0.0, 0.35)
        cy, cx = random.uniform(0.1, 0.9) * height, random.uniform(0.1, 0.9) * width
        texture, area = _texture(self._images[number])
        return _Item(
            texture, area * (size / _SIDE) ** 2, int(self._labels[number]), size, angle, flip, tint, dark, cx, cy,
            focal * BASELINE * inverse,
        )  # fmt: skip


def _texture(image: np.ndarray) -> tuple[np.ndarray, float]:
    """Alpha and light of an item, and how many of its pixels it covers.

    Alpha is 1 between the first and the last inked pixel of both the row and the column: what a print leaves blank is
    filled, the gap between trouser legs is not.
    """
    light = image.astype(np.float32) / 255
    inked = light > _INK

    def between(axis):
        after, before = np.maximum.accumulate(inked, axis), np.maximum.accumulate(np.flip(inked, axis), axis)
        return after & np.flip(before, axis)

    alpha = between(0) & between(1)
    texture = np.zeros((_SIDE + 2, _SIDE + 2, 2), np.float32)
    texture[1:-1, 1:-1, 0], texture[1:-1, 1:-1, 1] = alpha, light
    return texture.reshape(-1, 2), float(alpha.sum())


@lru_cache(maxsize=32)
def _between(cells: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of `count` points spread over `cells` cells: the corner before each, and how far it is to the next."""
    at = np.linspace(0, cells, count)
    corner = np.minimum(at.astype(np.intp), cells - 1)
    return corner, (at - corner).astype(np.float32)


def _ground(random: np.random.Generator, height: int, width: int, shown: int) -> np.ndarray:
    """float32 (3, h, shown), the first columns of (h, w): noise in octaves, grey and coloured, on a random colour."""
    out = np.empty((3, height, shown), np.float32)
    out[:] = random.uniform(0.25, 0.75, 3)[:, None, None]
    for cells, strength in _OCTAVES:
        grey, colour = random.normal(size=(cells + 1, cells + 1)), random.normal(size=(3, cells + 1, cells + 1))
        grid = (strength * (grey + 0.5 * colour)).astype(np.float32)
        row, down = _between(cells, height)
        grid = grid[:, row] + down[:, None] * (grid[:, row + 1] - grid[:, row])  # (3, h, cells + 1)
        column, across = (each[:shown] for each in _between(cells, width))
        steps = np.diff(grid, axis=2)
        out += grid.take(column, axis=2)
        out += across * steps.take(column, axis=2)
    return out


def _shifted(ground: np.ndarray, plane: np.ndarray, width: int) -> np.ndarray:
    """The ground as the right view has it: a row moved by its disparity."""
    at = np.arange(width) + plane  # (h, w)
    column = at.astype(np.intp)
    part = (at - column).astype(np.float32)
    one, other = (np.take_along_axis(ground, (column + step)[None], 2) for step in (0, 1))
    return one + part * (other - one)


@dataclass(frozen=True)
class _Patch:
    """What an item paints: where, float32 (h, w) alpha, and (3, h, w) colour."""

    rows: slice
    columns: slice
    alpha: np.ndarray
    colour: np.ndarray


def _patch(item: _Item, size: tuple[int, int], shift: float) -> _Patch:
    """An item as it lies in the view that is `shift` pixels to the right."""
    height, width = size
    reach, cx = 0.75 * item.size + 2, item.cx - shift
    top, left = max(0, int(item.cy - reach)), max(0, int(cx - reach))
    bottom, right = max(top, min(height, int(item.cy + reach) + 1)), max(left, min(width, int(cx + reach) + 1))
    y = (np.arange(top, bottom) - item.cy).astype(np.float32)[:, None]
    x = (np.arange(left, right) - cx).astype(np.float32)
    scale = _SIDE / item.size
    cos, sin = np.float32(np.cos(item.angle) * scale), np.float32(np.sin(item.angle) * scale)
    last, middle = np.float32(_SIDE + 1 - 0.001), np.float32((_SIDE - 1) / 2 + 1)  # 1: the border
    source_y = np.clip(cos * y - sin * x + middle, 0, last)
    source_x = np.clip(item.flip * (sin * y + cos * x) + middle, 0, last)
    row, column = source_y.astype(np.int32), source_x.astype(np.int32)
    v, u = (source_y - row)[..., None], (source_x - column)[..., None]
    at = row * (_SIDE + 2) + column
    upper, upper_next, lower, lower_next = (
        item.texture.take(at + step, axis=0) for step in (0, 1, _SIDE + 2, _SIDE + 3)
    )  # (h, w, 2)
    upper += u * (upper_next - upper)
    lower += u * (lower_next - lower)
    upper += v * (lower - upper)
    alpha = upper[..., 0]
    light = upper[..., 1] / np.maximum(alpha, np.float32(0.2))
    light = np.float32(item.dark) + np.float32(1 - item.dark) * light
    return _Patch(slice(top, bottom), slice(left, right), alpha, item.tint[:, None, None] * light)


def _owners(patches: Sequence[_Patch], size: tuple[int, int]) -> np.ndarray:
    """uint8 (h, w): the last that covers at least half of a pixel, counted from 1; 0 for none."""
    owner = np.zeros(size, np.uint8)
    for number, patch in enumerate(patches, 1):
        owner[patch.rows, patch.columns][patch.alpha >= 0.5] = number
    return owner


def _visible(items: list[_Item], size: tuple[int, int]) -> tuple[list[_Item], list[_Patch], np.ndarray]:
    """Without those that are hidden or cut off by the border but for less than `_SEEN`; one that goes may uncover
    another, so all are looked at anew."""
    patches = [_patch(item, size, 0.0) for item in items]
    while True:
        owner = _owners(patches, size)
        covered = np.bincount(owner.reshape(-1), minlength=len(items) + 1)[1:]
        seen = [count >= max(1, _SEEN * item.area) for count, item in zip(covered, items, strict=True)]
        if all(seen):
            return items, patches, owner
        items = [item for item, there in zip(items, seen, strict=True) if there]
        patches = [patch for patch, there in zip(patches, seen, strict=True) if there]


def _painted(image: np.ndarray, patches: Sequence[_Patch]) -> np.ndarray:
    """float32 (3, h, w), in place."""
    for patch in patches:
        part = image[:, patch.rows, patch.columns]
        part += patch.alpha * (patch.colour - part)
    return image


def _boxes(owner: np.ndarray, count: int) -> np.ndarray:
    boxes = np.zeros((count, 4))
    for number in range(1, count + 1):
        mine = owner == number
        rows, columns = np.flatnonzero(mine.any(axis=1)), np.flatnonzero(mine.any(axis=0))
        boxes[number - 1] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def _finished(image: np.ndarray, noise: np.float32, random: np.random.Generator) -> np.ndarray:
    """uint8 (h, w, 3), with a camera's noise."""
    image += noise * random.standard_normal(image.shape, np.float32)
    np.clip(image, 0, 1, out=image)
    image *= 255
    return np.ascontiguousarray(np.rint(image, out=image).astype(np.uint8).transpose(1, 2, 0))


class FashionScenes(Dataset):
    """Scenes as a dataset; `annotations` holds `objects`, `semantic`, `depth`, `disparity` and `right`."""

    _made: Callable[[int], Scene]
    _maker: SceneMaker
    _split: str

    def __init__(self, split: str, *, sample: bool = False):
        self._fill("fashion_scenes_sample" if sample else "fashion_scenes", split, SceneMaker(split, sample=sample), 0)

    def _fill(self, name: str, split: str, maker: SceneMaker, epoch: int) -> None:
        count = COUNTS[split]
        first = epoch * count
        made = lru_cache(maxsize=256)(lambda number: maker.scene(first + number))
        parts: dict[str, Sequence[Any]] = {
            "objects": _Parts(count, lambda number: _objects(made(number))),
            **{kind: _Parts(count, lambda number, kind=kind: getattr(made(number), kind))
               for kind in ("semantic", "depth", "disparity")},
            "right": _Parts(count, lambda number: maker.scene(first + number, stereo=True).right),
        }  # fmt: skip
        names = [f"{split} scene {first + number}" for number in range(count)]
        named = {"semantic": (_GROUND, *CLASSES)}
        super().__init__(
            name, "made on demand", CLASSES, None, names, annotations=parts, annotation_classes=named
        )  # fmt: skip
        for key, value in (("_made", made), ("_maker", maker), ("_split", split)):
            object.__setattr__(self, key, value)

    def image(self, number: int) -> np.ndarray:
        return self._made(number).image

    def renewed(self, epoch: int) -> "FashionScenes":
        """Scenes that no other epoch has; epoch 0 has those of the dataset itself."""
        if not epoch:
            return self
        other = object.__new__(FashionScenes)
        other._fill(self.name, self._split, self._maker, epoch)
        return other

    def most_objects(self) -> int:
        return self._maker.most


class _Parts(Sequence):
    """What is known of each scene, made when it is asked for."""

    def __init__(self, count, get):
        self._count, self._get = count, get

    def __len__(self):
        return self._count

    def __getitem__(self, number):
        if not 0 <= number < self._count:
            raise IndexError(number)
        return self._get(int(number))


def _objects(scene: Scene) -> Objects:
    none = np.zeros(len(scene.classes), bool)
    return Objects(scene.boxes, scene.classes, none, none)
