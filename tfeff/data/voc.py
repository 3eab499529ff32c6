"""Boxes as PASCAL VOC has them: one XML an image.

Coordinates count from 1 and both ends belong to the box: `xmin` 1 and `xmax` 1 are the first pixel alone.
"""

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from tfeff.data.annotated import (
    LONGEST,
    SPLIT_WORDS,
    BoxDataset,
    Boxes,
    check_classes,
    dataset_of,
    read_bytes,
    read_text,
)
from tfeff.data.files import is_ignored
from tfeff.data.images import image_suffixes
from tfeff.errors import TfeffError

_MOST = 2**22  # bytes of an XML
_USUAL = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".webp")
_DEEPEST = 16  # elements in each other
_MEND = "give <annotation> with <size>, and an <object> with <name> and <bndbox> a box"
_SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass
class Element:
    """An element of an XML: its children, and its text without the space around it."""

    tag: str
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> list["Element"]:
        return [child for child in self.children if child.tag == tag]

    def get(self, tag: str) -> "Element | None":
        return next(iter(self.all(tag)), None)


def parse_xml(data: bytes, where: str) -> Element:
    """Elements and text; attributes are passed over. A document type, and with it every entity, is refused: what is
    read is what stands there, and no more.

    Raises:
        TfeffError: no well-formed XML, too deep, or with a document type.
    """
    root = Element("")
    stack = [root]
    parser = expat.ParserCreate()

    def begin(tag, attributes):
        if len(stack) > _DEEPEST:
            raise TfeffError(f"{where}: elements nested too deep", _MEND)
        stack.append(Element(tag))
        stack[-2].children.append(stack[-1])

    def end(tag):
        stack.pop()

    def text(some):
        stack[-1].text += some

    def refuse(*told):
        raise TfeffError(f"{where}: has a document type or entities", "remove its <!DOCTYPE ...>")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise TfeffError(f"{where}: not a readable XML ({error})", _MEND) from None
    except (LookupError, ValueError) as error:  # an encoding that there is not
        raise TfeffError(f"{where}: not a readable XML ({error})", "save it in UTF-8") from None
    return root.children[0]


def is_voc(folder: Path) -> bool:
    """Whether a folder holds XML files in `Annotations`, or beside images of the same names."""
    if not folder.is_dir():
        return False
    beside = any(path.with_suffix(suffix).is_file() for path in folder.glob("*.xml") for suffix in _USUAL)
    return beside or any((folder / "Annotations").glob("*.xml"))


def find_voc(folder: Path, split: str) -> tuple[Path, bool] | None:
    """The folder of a split, and whether there are others for other splits; None where there are no XML files.

    `Annotations/` with `JPEGImages/` (and `ImageSets/Main/`), or XML files beside the images, below `train/` and
    `valid/` if they are split.

    Raises:
        TfeffError: other splits are there.
    """
    if is_voc(folder):
        return folder, (folder / "ImageSets" / "Main").is_dir() and bool(_lists(folder))
    parts = {word: folder / word for words in SPLIT_WORDS.values() for word in words if is_voc(folder / word)}
    if not parts:
        return None
    word = next((word for word in SPLIT_WORDS[split] if word in parts), None)
    if word is None:
        raise TfeffError(f"{folder}: has no {split} annotations beside {', '.join(parts)}", "add them")
    return parts[word], True


def open_voc(folder: Path, top: Path, name: str, split: str) -> BoxDataset:
    """Reads a folder of XML files.

    Args:
        folder: with the XML files, or with `Annotations`.
        top: where `classes.txt` may say the order of the classes, if it is not in `folder`.
        name: what the user called it.
        split: of the lists in `ImageSets/Main`, if there are any.

    Raises:
        TfeffError: an XML that is none of VOC's, an unknown class, an image that is not there, a box that cannot be.
    """
    inner = folder / "Annotations"
    place = inner if inner.is_dir() else folder
    files = [path for path in sorted(place.glob("*.xml")) if not is_ignored(path.name, folder=False)]
    parsed = {path.stem: parse_xml(read_bytes(path, _MOST, "annotation"), str(path)) for path in files}
    found = sorted({_text(each, "name", str(place)) for tree in parsed.values() for each in tree.all("object")})
    told = next((each / "classes.txt" for each in (folder, top) if (each / "classes.txt").is_file()), None)
    classes = tuple(found)
    if told is not None:
        lines = read_text(told, _MOST, "list of classes").splitlines()
        classes = check_classes([line.strip() for line in lines if line.strip()], str(told))
    numbers = {each: number for number, each in enumerate(classes)}
    listed = _list(folder, split)
    if missing := next((stem for stem in listed or () if stem not in parsed), None):
        raise TfeffError(f"{folder}: its {split} list names {missing[:200]!r}, which has no XML", "add or remove it")
    images = _images(folder)
    rows = [_read(parsed[stem], place / f"{stem}.xml", stem, images, numbers) for stem in listed or parsed]
    unused = len(images) - len(images.keys() & parsed.keys())
    notes = [f"{folder}: {unused:,} image{'s' * (unused > 1)} left out, without an XML"] if unused else []
    return dataset_of(name, place, folder, classes, rows, guessed=told is None, notes=notes)


def _read(tree: Element, path: Path, stem: str, images: dict[str, str], numbers: dict[str, int]) -> Boxes:
    where = str(path)
    if tree.tag != "annotation":
        raise TfeffError(f"{where}: its element is <{tree.tag[:40]}>, no <annotation>", _MEND)
    size = tree.get("size") or Element("size")
    height, width = (_number(size, side, where) for side in ("height", "width"))
    if not (1 <= height <= LONGEST and 1 <= width <= LONGEST):  # nor are they no number
        raise TfeffError(f"{where}: its image is {height:g} x {width:g}", _MEND)
    named = (tree.get("filename") or Element("")).text.strip()
    image = images.get(stem, images.get(Path(named.replace("\\", "/")).stem, ""))
    if not image:
        raise TfeffError(f"{where}: there is no image for it, neither {stem!r} nor {named[:200]!r}", "add or remove it")
    row = Boxes(where, image, (int(height), int(width)))
    for thing in tree.all("object"):
        kind = _text(thing, "name", where)
        if kind not in numbers:
            raise TfeffError(f"{where}: unknown class {kind[:100]!r}, which classes.txt does not name", "name it there")
        box = thing.get("bndbox") or Element("bndbox")
        left, top, right, bottom = (_number(box, side, where) for side in _SIDES)
        difficult = (thing.get("difficult") or Element("")).text.strip() == "1"
        row.add((left - 1, top - 1, right, bottom), numbers[kind], difficult=difficult)
    return row


def _text(element: Element, tag: str, where: str) -> str:
    found = element.get(tag)
    if found is None or not found.text.strip():
        raise TfeffError(f"{where}: <{element.tag}> without <{tag}>", _MEND)
    return found.text.strip()


def _number(element: Element, tag: str, where: str) -> float:
    text = _text(element, tag, where)
    try:
        return float(text)
    except ValueError:
        raise TfeffError(f"{where}: <{tag}> {text[:40]!r} is no number", _MEND) from None


def _images(folder: Path) -> dict[str, str]:
    """{stem: path from the folder} of the images: in JPEGImages/ or images/, or beside the XML files."""
    place = next((folder / name for name in ("JPEGImages", "images") if (folder / name).is_dir()), folder)
    return {
        path.stem: str(path.relative_to(folder)) for path in sorted(place.iterdir())
        if path.suffix.lower() in image_suffixes() and not is_ignored(path.name, folder=False)
    }  # fmt: skip


def _lists(folder: Path) -> dict[str, Path]:
    """{word: the list of that split}."""
    words = [word for words in SPLIT_WORDS.values() for word in words]
    paths = {word: folder / "ImageSets" / "Main" / f"{word}.txt" for word in words}
    return {word: path for word, path in paths.items() if path.is_file()}


def _list(folder: Path, split: str) -> list[str] | None:
    """Stems of the images of a split; None where there are no lists."""
    lists = _lists(folder)
    if not lists:
        return None
    # with a test list, `trainval` is what may be trained on; without one, `val` is what is tested
    order = {"train": ("trainval", "train") if "test" in lists else ("train",), "test": ("test", "val")}[split]
    word = next((word for word in (*order, *SPLIT_WORDS[split]) if word in lists), None)
    if word is None:
        raise TfeffError(f"{folder}: has no {split} list beside {', '.join(lists)}", "add it")
    return [line.split()[0] for line in read_text(lists[word], 2**26, "list of images").splitlines() if line.strip()]
