"""What lies beside pictures of float against quantized: `pictures.json`, written by `tfeff compare --pictures`, read by
`tfeff report --pictures`."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tfeff.errors import TfeffError
from tfeff.record.base import Count, NotNegative, Part, Sha256

INDEX = "pictures.json"
SCHEMA_VERSION = 1
_MOST = 2**22  # bytes
_MEND = "give a folder that `tfeff compare --pictures` wrote"


class Pictured(Part, kw_only=True):
    """A picture.

    Attributes:
        file: its name in the folder.
        sample: the dataset's name of the image.
        apart: how far the two answers are apart (`Task.apart`).
        annotated, of_float, of_quantized: what the image shows, by its annotation and by the two files.
        changes: what quantizing changed, in words.
    """

    file: Annotated[str, Meta(pattern=r"^[0-9]{1,6}\.png$")]
    sample: str
    apart: NotNegative
    annotated: list[str] = []
    of_float: list[str] = msgspec.field(name="float", default=[])
    of_quantized: list[str] = msgspec.field(name="quantized", default=[])
    changes: list[str] = []


class PictureIndex(Part, kw_only=True):
    """What a folder of pictures holds, and of which files; the images that differ most come first.

    Attributes:
        quantized_sha256, float_sha256: of the files.
        samples: how many images were looked at.
    """

    kind: Literal["tfeff pictures"] = "tfeff pictures"
    schema_version: Literal[1] = 1
    quantized_sha256: Sha256
    float_sha256: Sha256
    dataset: str
    samples: Count
    pictures: list[Pictured] = []


def encode_index(index: PictureIndex) -> bytes:
    return msgspec.json.format(msgspec.json.encode(index), indent=1) + b"\n"


def read_index(folder: Path) -> PictureIndex:
    """Reads the index of a folder.

    Raises:
        TfeffError: there is none, or it is no such index.
    """
    path = folder / INDEX
    try:
        with path.open("rb") as file:
            data = file.read(_MOST + 1)
    except OSError as error:
        raise TfeffError(f"{path}: cannot be read ({error.strerror})", _MEND) from None
    if len(data) > _MOST:
        raise TfeffError(f"{path}: larger than {_MOST:,} bytes, no index of pictures is", _MEND)
    try:
        return msgspec.json.decode(data, type=PictureIndex)
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError) as error:
        reason = " ".join(str(error).replace("`", "").split())[:300]
        raise TfeffError(f"{path}: no index of pictures ({reason})", _MEND) from None
