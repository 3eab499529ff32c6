"""Kinds of values that all parts of a record share."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
# The name of a file beside the record, never a path.
FileName = Annotated[str, Meta(pattern=r"^(?!\.{1,2}$)[^/\\\x00]+$", max_length=255)]
# A preset's name, which names the files that are made of it: no path, hidden from nobody, nothing a terminal obeys.
PRESET_NAME = r"^[^./\\\x00-\x1f\x7f-\x9f][^/\\\x00-\x1f\x7f-\x9f]{0,179}$"
PresetName = Annotated[str, Meta(pattern=PRESET_NAME)]
Interval = tuple[float, float]
Details = dict[str, Any]


class Part(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A part of the record."""
