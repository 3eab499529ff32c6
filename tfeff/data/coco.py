"""Boxes as COCO has them: one JSON of images, annotations and categories."""

from pathlib import Path

import msgspec

from tfeff.data.annotated import (
    LONGEST,
    SPLIT_WORDS,
    BoxDataset,
    Boxes,
    check_classes,
    dataset_of,
    inner_name,
    read_bytes,
)  # fmt: skip
from tfeff.data.files import exists
from tfeff.errors import TfeffError

_MOST = 2**30  # bytes; that of COCO's 118,287 training images has 448 MB
_LOOKED_AT = 2**16  # bytes
_MEND = "give COCO's instances: `images`, `annotations` with `bbox` [x, y, width, height], `categories`"


class _Image(msgspec.Struct):
    id: int | str
    file_name: str
    height: int | None = None
    width: int | None = None


class _Annotation(msgspec.Struct):
    """Of `segmentation` and the like nothing is read."""

    image_id: int | str
    category_id: int
    bbox: tuple[float, float, float, float]
    id: int | str = ""
    iscrowd: int = 0
    ignore: int = 0


class _Category(msgspec.Struct):
    id: int
    name: str


class _File(msgspec.Struct):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation] = []


def is_coco(path: Path) -> bool:
    """Whether a JSON is called as COCO's files of boxes are, `instances_*`, `*coco*`, `annotations` or in a folder of
    that name, and has their keys at its beginning or end."""
    name = path.name.lower()
    if not (
        name.startswith(("instances", "annotations")) or "coco" in name or path.parent.name.lower() == "annotations"
    ):
        return False
    try:
        if not path.is_file():  # a pipe or a device, which may never end
            return False
        with path.open("rb") as file:
            ends = file.read(_LOOKED_AT)
            file.seek(max(0, path.stat().st_size - _LOOKED_AT))
            ends += file.read()
    except OSError:
        return False
    return sum(key in ends for key in (b'"images"', b'"annotations"', b'"categories"')) > 1


def find_coco(folder: Path, split: str) -> tuple[Path, bool] | None:
    """The file of a split in a folder as people have it, and whether there are others for other splits.

    `annotations/instances_val2017.json`, `valid/_annotations.coco.json`, or one file for all.

    Raises:
        TfeffError: several files of which none is of the split, or of which several may be.
    """
    inner = [folder / name for names in SPLIT_WORDS.values() for name in names]
    files = [
        path for place in (folder, folder / "annotations", *inner) if place.is_dir()
        for path in sorted(place.glob("*.json")) if is_coco(path)
    ]  # fmt: skip
    chosen = [path for path in files if path.name.lower().startswith("instances")] or files
    for word in SPLIT_WORDS[split]:
        of_word = [path for path in chosen if split_word(path, folder) == word and _has_boxes(path)]
        if len(of_word) > 1:
            raise TfeffError(f"{folder}: both {of_word[0].name} and {of_word[1].name} are of {word}", "give the file")
        if of_word:
            return of_word[0], True
    unsplit = [path for path in chosen if split_word(path, folder) is None]
    if len(unsplit) > 1:
        raise TfeffError(f"{folder}: both {unsplit[0].name} and {unsplit[1].name} may be meant", "give the file")
    if unsplit:
        return unsplit[0], False
    if chosen:
        raise TfeffError(f"{folder}: has no {split} annotations beside {chosen[0].name}", "add them")
    return None


def split_word(path: Path, folder: Path) -> str | None:
    """`val` of `instances_val2017.json`, `train` of `train/_annotations.coco.json`; None of a file for all."""
    words = {word for words in SPLIT_WORDS.values() for word in words}
    if path.parent != folder and path.parent.name.lower() in words:
        return path.parent.name.lower()
    parts = "".join(letter if letter.isalpha() else " " for letter in path.stem.lower()).split()
    return next((part for part in parts if part in words), None)


def open_coco(path: Path, name: str, split: str) -> BoxDataset:
    """Reads a file of COCO's form.

    Args:
        name: what the user called it.
        split: where several folders may hold the images, whose.

    Raises:
        TfeffError: no such file, an unknown class or image, an image that is not there, a box that cannot be.
    """
    try:
        held = msgspec.json.decode(read_bytes(path, _MOST, "annotation"), type=_File)
    except msgspec.ValidationError as error:
        raise TfeffError(f"{path}: {str(error).replace('`', '')}", _MEND) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise TfeffError(f"{path}: not a readable JSON ({error})", _MEND) from None
    categories = sorted(held.categories, key=lambda each: each.id)
    classes = check_classes([each.name for each in categories], str(path))
    numbers = {each.id: number for number, each in enumerate(categories)}
    if len(numbers) != len(categories):
        raise TfeffError(f"{path}: two categories of one id", "number each class once")
    images: dict[int | str, Boxes] = {}
    for image in held.images:
        where = f"{path}, image {_brief(image.id)}"
        if image.id in images:
            raise TfeffError(f"{where}: there are two of this id", "number each image once")
        size = None if image.height is None or image.width is None else (image.height, image.width)
        if size is None or not 1 <= min(size) <= max(size) <= LONGEST:
            raise TfeffError(f"{where}: its height and width are {_brief(size or 'missing')}", _MEND)
        images[image.id] = Boxes(where, inner_name(image.file_name, where), size)
    for annotation in held.annotations:
        where = f"{path}, annotation {_brief(annotation.id)}"
        if annotation.image_id not in images:
            raise TfeffError(f"{where}: there is no image {_brief(annotation.image_id)}", "add or remove it")
        if annotation.category_id not in numbers:
            raise TfeffError(f"{where}: unknown class, there is no category {_brief(annotation.category_id)}", "add it")
        x, y, width, height = annotation.bbox
        images[annotation.image_id].add(
            (x, y, x + width, y + height), numbers[annotation.category_id], crowd=bool(annotation.iscrowd),
            difficult=bool(annotation.ignore),
        )  # fmt: skip
    rows = list(images.values())
    return dataset_of(name, path, _root(path, split, rows), classes, rows)


def _root(path: Path, split: str, images: list[Boxes]) -> Path:
    """The folder below which the images lie: that of the file, `images/`, or one named after the split."""
    if not images:
        return path.parent
    inside = path.parent.name.lower() == "annotations"
    above = path.parent.parent if inside else path.parent  # nothing is looked for beside what the user named
    stems = [path.stem.removeprefix("instances_"), split_word(path, path.parent) or split, *SPLIT_WORDS[split]]
    places = [path.parent, path.parent / "images", above, above / "images"]
    places += [base / stem for base in (above, above / "images", path.parent, path.parent / "images") for stem in stems]
    return next((place for place in places if exists(place / images[0].image)), path.parent)


def _brief(value: object) -> str:
    """A number or a text as a message shows it."""
    return f"{value!s:.60}"


def _has_boxes(path: Path) -> bool:
    """COCO's `image_info_test2017.json` has none."""
    return not path.name.lower().startswith("image_info")
