"""Images with what a float and a quantized file say of them, side by side, as PNG files with an index beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfeff.compare.accuracy import Comparison
from tfeff.compare.differing import Differing
from tfeff.data import Dataset
from tfeff.errors import TfeffError
from tfeff.files import write_folder
from tfeff.record.pictures import INDEX, Pictured, PictureIndex, encode_index, read_index
from tfeff.tasks import Frame, get_task

SIDE = 320  # pixels of an image's longer side: smaller ones are enlarged by whole numbers, larger ones reduced
_LINES = 6  # of an answer
_CHANGES = 6
_GAP, _LINE = 10, 18  # pixels
_LETTERS = 60  # of a name
_INK, _PAPER, _FAINT, _BAD = (20, 30, 38), (255, 255, 255), (90, 100, 108), (176, 0, 32)


@dataclass(frozen=True)
class _Panel:
    """What stands in a column: a heading, boxes in the image, lines below it."""

    heading: str
    frames: Sequence[Frame]
    lines: Sequence[str]


def check_folder(folder: Path, force: bool) -> None:
    """Whether pictures may be written there; asked before anything is computed.

    Raises:
        TfeffError: something is there and not `force`, it holds what is no picture of ours, or its parent is none.
    """
    if not folder.absolute().parent.is_dir():
        raise TfeffError(f"{folder.absolute().parent}: no such folder", "make it first")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise TfeffError(f"{folder}: is no folder", "name a new folder")
    held = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if not held:
        return
    if not force:
        raise TfeffError(f"{folder}: is not empty", "name a new folder, or replace its pictures with --force")
    try:
        known = {INDEX, *(each.file for each in read_index(folder).pictures)}
    except TfeffError:
        known = set()
    if foreign := next((name for name in held if name not in known), None):
        raise TfeffError(
            f"{folder}: holds {foreign!r}, which `tfeff compare --pictures` did not write",
            "name a new folder: --force replaces pictures of compare, nothing else",
        )


def write_pictures(folder: Path, dataset: Dataset, result: Comparison, *, force: bool = False) -> PictureIndex:
    """Writes the images of `result.differing` and an index, the whole folder or nothing.

    Args:
        folder: new or empty; with `force` one of earlier pictures is replaced.
        dataset: the one that was compared on.

    Returns:
        The index.

    Raises:
        TfeffError: see `check_folder`; samples without an image; the file system refuses.
    """
    check_folder(folder, force)
    pictures, drawn = [], []
    for rank, each in enumerate(result.differing, 1):
        image = _image(dataset, each.number)
        panels, changes = _panels(each)
        drawn.append(draw(image, panels, changes))
        pictures.append(Pictured(
            file=f"{rank:02}.png", sample=str(dataset.names[each.number]), apart=each.apart, changes=changes,
            **{key: list(panel.lines) for key, panel in zip(_keys(panels), panels, strict=True)},
        ))  # fmt: skip
    index = PictureIndex(
        quantized_sha256=result.quantized_sha256, float_sha256=result.float_sha256, dataset=result.ports[0].source,
        samples=result.ports[0].samples, pictures=pictures,
    )  # fmt: skip

    def fill(place: Path) -> None:
        for entry, picture in zip(pictures, drawn, strict=True):
            picture.save(place / entry.file)
        (place / INDEX).write_bytes(encode_index(index))

    try:
        write_folder(folder.absolute(), fill, force=force)
    except OSError as error:
        raise TfeffError(f"{folder}: cannot be written ({error.strerror})", "choose another place") from None
    return index


def draw(image: np.ndarray, panels: Sequence[_Panel], changes: Sequence[str]) -> Image.Image:
    """A picture: the image once a panel, each with its boxes and lines, and below them what changed.

    Args:
        image: uint8 (h, w) or (h, w, 3).
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    factor = max(1, SIDE // longest) if longest <= SIDE else 2 * SIDE / longest if longest > 2 * SIDE else 1
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    shown = Image.fromarray(image).convert("RGB")
    if size != shown.size:
        shown = shown.resize(size, Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BILINEAR)
    column = max(size[0], 200)
    below = _LINE * max(min(len(panel.lines), _LINES) for panel in panels)
    told = list(changes[:_CHANGES]) + ([f"and {len(changes) - _CHANGES} more"] if len(changes) > _CHANGES else [])
    high = 2 * _GAP + _LINE + size[1] + below + (_LINE * len(told) + _GAP) * bool(told)
    whole = Image.new("RGB", (_GAP + len(panels) * (column + _GAP), high), _PAPER)
    pen = ImageDraw.Draw(whole)
    for number, panel in enumerate(panels):
        left, top = _GAP + number * (column + _GAP), _GAP + _LINE
        _write(pen, (left, _GAP), panel.heading, _FAINT, column)
        whole.paste(_framed(shown, panel.frames, factor), (left, top))
        for row, line in enumerate(panel.lines[:_LINES]):
            _write(pen, (left, top + size[1] + 2 + row * _LINE), line, _INK, column)
    bottom = _GAP + _LINE + size[1] + below + _GAP
    for row, line in enumerate(told):
        _write(pen, (_GAP, bottom + row * _LINE), line, _BAD, whole.width - 2 * _GAP)
    return whole


def _image(dataset, number):
    for each in dataset.sample(number).values():
        if each.dtype == np.uint8 and (each.ndim == 2 or (each.ndim == 3 and each.shape[2] in (1, 3))):
            return each[..., 0] if each.ndim == 3 and each.shape[2] == 1 else each
    raise TfeffError(f"--pictures: the samples of dataset {dataset.name} are no images", "leave it out")


def _keys(panels):
    return ("annotated", "of_float", "of_quantized")[3 - len(panels) :]


def _panels(differing: Differing) -> tuple[list[_Panel], list[str]]:
    """Of the annotation, where there is one, of the float file and of the quantized one; and what changed."""
    changes: list[str] = []
    frames: dict[str, list[Frame]] = {"annotated": [], "float": [], "quantized": []}
    lines: dict[str, list[str]] = {"annotated": [], "float": [], "quantized": []}
    for each in differing.answers:
        task, spec = get_task(each.spec.name), each.spec
        changes += task.changes(each.of_float, each.of_quantized, spec)
        both = ("float", each.of_float, each.of_quantized), ("quantized", each.of_quantized, each.of_float)
        for heading, answer, beside in both:
            frames[heading] += task.frames(answer, spec, beside)
            lines[heading] += [_line(*line) for line in task.draw(None, answer, spec).lines]
        if each.right is not None:
            frames["annotated"] += task.frames(each.right, spec)
            lines["annotated"] += [text for text, score in task.draw(None, each.right, spec).lines if score != 0]
    panels = [_Panel(heading, frames[heading], lines[heading]) for heading in frames]
    return (panels if any(each.right is not None for each in differing.answers) else panels[1:]), changes


def _line(text, score):
    return text if score is None else f"{text} {100 * score:.0f} %"


def _framed(shown, frames, factor):
    """A copy with a box a frame and its name; those of one answer alone are drawn thicker, the surest on top."""
    copy = shown.copy()
    pen = ImageDraw.Draw(copy)
    for frame in reversed(list(frames)):
        limits = np.array([copy.width, copy.height] * 2) - 1
        left, top, right, bottom = np.clip(np.nan_to_num(frame.box) * factor, 0, limits).tolist()
        pen.rectangle(
            (left, top, max(left, right), max(top, bottom)), outline=frame.colour, width=4 if frame.alone else 2
        )
    for frame in reversed(list(frames)):
        left, top = (np.nan_to_num(frame.box[:2]) * factor).tolist()
        text, font = _drawable(frame.name), ImageFont.load_default(12)
        place = (
            min(max(left, 0), max(0, copy.width - pen.textlength(text, font))),
            min(max(top - 14, 0), copy.height - 14),
        )
        pen.rectangle(pen.textbbox(place, text, font), fill=_INK)
        pen.text(place, text, _PAPER, font)
    return copy


def _write(pen, place, text, colour, room):
    font, text = ImageFont.load_default(13), _drawable(text)
    while len(text) > 2 and pen.textlength(text, font) > room:
        text = f"{text.removesuffix('…')[:-1]}…"
    pen.text(place, text, colour, font)


def _drawable(text):
    """On one line, and of letters that Pillow's own font may have."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(text.split()))[:_LETTERS]
