"""Masks: folders `images` and `masks` with the same file names, a PNG of class numbers an image.

A mask's values are the numbers of its classes, as indices of a palette or as grey values; 255 is left out. A file
`classes.txt` names the classes from number 0 on, the background too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfeff.data.annotated import SPLIT_WORDS, check_classes, read_text
from tfeff.data.dataset import FileDataset
from tfeff.data.files import is_ignored, list_images
from tfeff.data.folders import NAMES
from tfeff.errors import TfeffError
from tfeff.files import check_regular

_MOST = 2**20  # bytes of classes.txt
_MOST_CLASSES = 255  # one value is for what is left out
_MODES = ("P", "L", "1")
_MEND = "save it as a PNG with a palette, or in grey, whose values are class numbers"


def find_masks(folder: Path, split: str) -> tuple[Path, Path, bool] | None:
    """Folders of the images and of the masks of a split, and whether there are other splits; None where there are none.

    `images/train` and `masks/train`, `train/images` and `train/masks`, or `images` and `masks`.

    Raises:
        TfeffError: other splits are there.
    """
    words = [word for words in SPLIT_WORDS.values() for word in words]
    for images, masks in (("images/{}", "masks/{}"), ("{}/images", "{}/masks")):
        places = {word: (folder / images.format(word), folder / masks.format(word)) for word in words}
        found = {word: pair for word, pair in places.items() if all(each.is_dir() for each in pair)}
        if found:
            word = next((word for word in SPLIT_WORDS[split] if word in found), None)
            if word is None:
                raise TfeffError(f"{folder}: has no {split} masks beside {', '.join(found)}", "add them")
            return *found[word], True
    if (folder / "images").is_dir() and (folder / "masks").is_dir():
        return folder / "images", folder / "masks", False
    return None


def open_masks(images: Path, masks: Path, top: Path, name: str) -> FileDataset:
    """Reads nothing but names; a mask is read when it is asked for.

    Args:
        images, masks: their folders, which lie alike.
        top: the folder that the user gave.
        name: what the user called it.

    Raises:
        TfeffError: no names of classes, no images, an image without a mask, or a mask without an image.
    """
    classes = _classes(top, masks)
    files = list_images(images)
    if not files:
        raise TfeffError(f"{images}: no images in this folder", "put PNG or JPEG files in it")
    found = {
        path.relative_to(masks).with_suffix(""): path for path in sorted(masks.rglob("*.png"))
        if not is_ignored(path.name, folder=False)
    }  # fmt: skip
    stems = [path.relative_to(images).with_suffix("") for path in files]
    if alone := next((path for path, stem in zip(files, stems, strict=True) if stem not in found), None):
        raise TfeffError(f"{alone}: there is no mask for it in {masks}", "add it as a PNG of the same name")
    known = set(stems)
    if alone := next((path for stem, path in found.items() if stem not in known), None):
        raise TfeffError(f"{alone}: there is no image for it in {images}", "add or remove it")
    names = [str(path.relative_to(images)) for path in files]
    parts = {"semantic": _Masks([found[stem] for stem in stems])}
    return FileDataset(name, str(masks), classes, None, names, images, annotations=parts)


class _Masks(Sequence[np.ndarray]):
    """uint8 (h, w) of each, read when it is asked for."""

    def __init__(self, paths: Sequence[Path]):
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: Any) -> Any:
        return read_mask(self._paths[number])


def read_mask(path: Path) -> np.ndarray:
    """uint8 (h, w), class numbers.

    Raises:
        TfeffError: no PNG, cut short, or colours, which are no numbers.
    """
    check_regular(path, "replace or remove it")
    try:
        with Image.open(path, formats=("PNG",)) as image:
            mode = image.mode
            values = np.asarray(image) if mode in _MODES else None
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TfeffError(f"{path}: cannot be read as a mask ({reason})", _MEND) from None
    if values is None:
        raise TfeffError(f"{path}: holds {mode}, no class numbers of 8 bits", _MEND)
    return values.astype(np.uint8)


def _classes(top: Path, masks: Path) -> tuple[str, ...]:
    file = next((folder / NAMES for folder in (top, masks.parent, masks) if (folder / NAMES).is_file()), None)
    if file is None:
        raise TfeffError(
            f"{top}: nothing names the classes of its masks", f"name them in {NAMES}, one a line, from number 0 on"
        )
    names = [line.strip() for line in read_text(file, _MOST, "list of classes").splitlines() if line.strip()]
    if len(names) > _MOST_CLASSES:
        raise TfeffError(f"{file}: {len(names)} classes, a mask has room for {_MOST_CLASSES}", "name fewer")
    return check_classes(names, str(file))
