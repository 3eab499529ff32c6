"""Boxes as YOLO has them: one text an image, a line `class centre_x centre_y width height` a box, in shares of the
image's sides.

A line may also be `class x y x y ...`, the outline of a mask, whose box is taken.
"""

import re
from pathlib import Path

from tfeff.data.annotated import SPLIT_WORDS, BoxDataset, Boxes, check_classes, dataset_of, read_text
from tfeff.data.files import is_ignored, list_images
from tfeff.errors import TfeffError

_MOST = 2**22  # bytes of a text
_MEND = "give lines of `class centre_x centre_y width height`, 0 to 1"
_NAMES_MEND = "name the classes in data.yaml (`names: [cat, dog]`, or one a line) or in classes.txt, one a line"
_USUAL = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".webp")
_LISTS = ("classes.txt", "obj.names", "classes.names")


def find_yolo(folder: Path, split: str) -> tuple[Path, Path, bool] | None:
    """Folders of the images and of the texts of a split, and whether there are other splits; None where it is no YOLO.

    `images/train` and `labels/train`, `train/images` and `train/labels`, `images` and `labels`, or texts beside the
    images where a file names the classes.

    Raises:
        TfeffError: other splits are there.
    """
    words = [word for words in SPLIT_WORDS.values() for word in words]
    for images, labels in (("images/{}", "labels/{}"), ("{}/images", "{}/labels")):
        found = {
            word: (folder / images.format(word), folder / labels.format(word)) for word in words
            if (folder / images.format(word)).is_dir() and (folder / labels.format(word)).is_dir()
        }  # fmt: skip
        if found:
            word = next((word for word in SPLIT_WORDS[split] if word in found), None)
            if word is None:
                raise TfeffError(f"{folder}: has no {split} labels beside {', '.join(found)}", "add them")
            return *found[word], True
    if (folder / "images").is_dir() and (folder / "labels").is_dir():
        return folder / "images", folder / "labels", False
    texts = [path for path in folder.glob("*.txt") if path.name not in _LISTS]
    if _named(folder) is not None and any(path.with_suffix(end).is_file() for path in texts for end in _USUAL):
        return folder, folder, False
    return None


def open_yolo(images: Path, labels: Path, top: Path, name: str) -> BoxDataset:
    """Reads texts beside images; an image without a text has no boxes.

    Args:
        images, labels: folders of the images and of the texts, which lie alike.
        top: the folder that the user gave.
        name: what the user called it.

    Raises:
        TfeffError: no names of classes, a line that is none of a box, an unknown class, a text without an image, a box
            that cannot be.
    """
    classes = _classes(top, labels)
    files = list_images(images)
    known = {path.relative_to(images).with_suffix("") for path in files}
    others = (*_LISTS, "train.txt", "test.txt")
    texts = {
        path.relative_to(labels).with_suffix(""): path for path in sorted(labels.rglob("*.txt"))
        if not is_ignored(path.name, folder=False) and path.name not in others
    }  # fmt: skip
    if alone := next((path for stem, path in texts.items() if stem not in known), None):
        raise TfeffError(f"{alone}: there is no image for it in {images}", "add or remove it")
    rows, without = [], 0
    for path in files:
        inner = path.relative_to(images)
        text = texts.get(inner.with_suffix(""))
        without += text is None
        rows.append(Boxes(str(path), str(inner)) if text is None else _read(text, str(inner), len(classes)))
    notes = [f"{images}: {without:,} image{'s' * (without > 1)} without a text: no boxes in them"] if without else []
    return dataset_of(name, labels, images, classes, rows, notes=notes)


def _read(path: Path, image: str, classes: int) -> Boxes:
    row = Boxes(str(path), image)
    for number, line in enumerate(read_text(path, _MOST, "list of boxes").splitlines(), 1):
        where, words = f"{path}, line {number}", line.split()
        if not words:
            continue
        try:
            kind, *values = (float(word) for word in words)
        except ValueError:
            raise TfeffError(f"{where}: {line[:60]!r} are no numbers", _MEND) from None
        if len(values) != 4 and (len(values) < 6 or len(values) % 2):
            raise TfeffError(f"{where}: {len(words)} numbers are no box and no outline", _MEND)
        if not (abs(kind) < 1e9 and kind == int(kind)):
            raise TfeffError(f"{where}: class {words[0][:20]} is no whole number", _MEND)
        if not 0 <= kind < classes:
            raise TfeffError(f"{where}: unknown class {int(kind)}, there are names for {classes}", _NAMES_MEND)
        if len(values) == 4:
            x, y, width, height = values
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        else:
            xs, ys = values[::2], values[1::2]
            box = (min(xs), min(ys), max(xs), max(ys))
        row.add(box, int(kind), where=where)
    return row


def _named(folder: Path) -> Path | None:
    """The file that names the classes."""
    lists = [folder / name for name in _LISTS]
    found = [path for path in (*lists, *sorted(folder.glob("*.y*ml"))) if path.is_file()]
    return found[0] if found else None


def _classes(top: Path, labels: Path) -> tuple[str, ...]:
    file = next((found for place in (top, labels, labels.parent, top.parent) if (found := _named(place))), None)
    if file is None:
        raise TfeffError(f"{top}: nothing names its classes", _NAMES_MEND)
    text = read_text(file, _MOST, "list of classes")
    if file.name in _LISTS:
        return check_classes([line.strip() for line in text.splitlines() if line.strip()], str(file))
    return check_classes(_yaml_names(text, file), str(file))


def _yaml_names(text: str, file: Path) -> list[str]:
    """`names` of a data.yaml, in the forms in which it is written: `[a, b]`, `{0: a}`, lines of `- a` or of `0: a`."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    at = next((number for number, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if at is None:
        raise TfeffError(f"{file}: has no `names`", _NAMES_MEND)
    first = lines[at].partition(":")[2].split(" #")[0].strip()
    if first:
        whole = first
        for line in lines[at + 1 :]:
            if whole.endswith(("]", "}")):
                break
            whole += " " + line.split(" #")[0].strip()
        if not re.fullmatch(r"\[.*\]|\{.*\}", whole):
            raise TfeffError(f"{file}: `names` is {first[:60]!r}", _NAMES_MEND)
        items = [item.strip() for item in re.findall(r"""(?:'[^']*'|"[^"]*"|[^,'"])+""", whole[1:-1]) if item.strip()]
        keyed = whole.startswith("{")
    else:
        items = []
        for line in lines[at + 1 :]:
            if not line.startswith((" ", "-", "\t")):
                break
            items.append(line.split(" #")[0].strip())
        keyed = bool(items) and not items[0].startswith("-")
        items = items if keyed else [item.removeprefix("-").strip() for item in items]
    if not keyed:
        return [_bare(item) for item in items]
    pairs = [item.partition(":") for item in items]
    if [_bare(key) for key, _, _ in pairs] != [str(number) for number in range(len(pairs))]:
        raise TfeffError(f"{file}: `names` are not numbered 0, 1, 2 ...", _NAMES_MEND)
    return [_bare(name.strip()) for _, _, name in pairs]


def _bare(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
