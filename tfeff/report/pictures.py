"""Pictures of `tfeff compare --pictures` in a report: read, checked to be of its files, and made part of the page."""

import base64
import io
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfeff.errors import TfeffError
from tfeff.record.pictures import Pictured, PictureIndex, read_index
from tfeff.report.blocks import Measured, Missing, Photo, Section, Words
from tfeff.report.reported import Reported
from tfeff.report.text import plural, short
from tfeff.tasks import Task, get_task, list_tasks

TITLE = "Where float and int8 differ most"
_SHOWN = 6  # of an artifact
_ROOM = 1_800_000  # letters of all pictures of a page
_MOST_BYTES, _MOST_SIDE = 2**22, 6000
_MEND = "write the pictures again: tfeff compare --pictures"


def with_pictures(items: Sequence[Reported], folders: Sequence[Path]) -> list[Reported]:
    """The same artifacts, each with the pictures that were made of it.

    Args:
        folders: of `tfeff compare --pictures`, at most one an artifact.

    Raises:
        TfeffError: a folder that is none of these, of other files, or with a picture that is none.
    """
    found = list(items)
    room = _ROOM
    for folder in folders:
        index = read_index(folder)
        places = [place for place, item in enumerate(found) if item.sha256 == index.quantized_sha256]
        if not places:
            raise TfeffError(f"{folder}: its pictures are of none of the report's artifacts", "give their record too")
        twin = found[places[0]].record.float_twin
        if twin is not None and twin.sha256 != index.float_sha256:
            raise TfeffError(f"{folder}: its pictures are against another float file than the record's", _MEND)
        if found[places[0]].seen is not None:
            raise TfeffError(f"{folder}: a second folder of pictures of {found[places[0]].name}", "give one")
        data = []
        for entry in index.pictures[:_SHOWN]:
            text = base64.b64encode(_read(folder / entry.file)).decode("ascii")
            room -= len(text)
            if room < 0:
                break
            data.append(text)
        for place in places:
            found[place] = replace(found[place], seen=(index, tuple(data)))
    return found


def pictures_section(item: Reported) -> Section | None:
    """The pictures with what changed in words; the command where none were made of an artifact with boxes."""
    if item.seen is None:
        has_places = any(
            type(get_task(spec.name)).frames is not Task.frames
            for spec in item.record.tasks
            if spec.name in list_tasks()
        )
        command = item.command("compare", "--pictures", "DIR")
        missing = Missing("the images on which the two differ most", f"{command}, with its DIR as --pictures here,")
        return Section(TITLE, [missing]) if has_places else None
    index, data = item.seen
    if not index.pictures:
        return Section(TITLE, [Words(f"Nowhere: on {_samples(index)} the two files say the same."), _files(index)])
    more = len(index.pictures) - len(data)
    lead = (
        f"Of {_samples(index)}, the farthest apart first: what is annotated, where that is known, and what the float "
        "and the quantized file say. A thick frame is of one file alone."
    )
    blocks: list[Any] = [Words(lead)]
    blocks += [Photo(text, _said(entry)) for entry, text in zip(index.pictures, data, strict=False)]
    if more:
        blocks.append(Words(f"and {plural(more, 'more picture')} in the folder"))
    return Section(TITLE, [*blocks, _files(index)])


def _samples(index: PictureIndex) -> str:
    return f"{plural(index.samples, 'image')} of {short(index.dataset)}"


def _files(index: PictureIndex) -> Measured:
    return Measured([("quantized", index.quantized_sha256), ("float", index.float_sha256)])


def _said(entry: Pictured) -> str:
    parts = [f"{short(entry.sample, 120)}."]
    parts += [f"{what}: {short('; '.join(lines), 300)}." for what, lines in (
        ("Annotated", entry.annotated), ("Float", entry.of_float), ("Quantized", entry.of_quantized),
        ("Changed", entry.changes),
    ) if lines]  # fmt: skip
    return " ".join(parts)


def _read(path: Path) -> bytes:
    """A PNG file's bytes, found to be one."""
    from PIL import Image

    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise TfeffError(f"{path}: cannot be read ({error.strerror})", _MEND) from None
    if len(data) > _MOST_BYTES:
        raise TfeffError(f"{path}: larger than {_MOST_BYTES:,} bytes, no picture of compare is", _MEND)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                size = image.size
                image.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TfeffError(f"{path}: is no PNG that can be shown", _MEND) from None
    if max(size) > _MOST_SIDE:
        raise TfeffError(f"{path}: is {size[0]} x {size[1]}, no picture of compare is", _MEND)
    return data
