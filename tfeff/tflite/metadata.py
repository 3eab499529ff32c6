"""TensorFlow Lite metadata, as MediaPipe Tasks read it: what a file's ports are, and the labels as a text file behind it.

The schema is metadata_schema.fbs 1.5.0 (google-ai-edge/mediapipe, Apache-2.0), written by its slots; the flatbuffer
lies in a buffer of the file that the entry `TFLITE_METADATA` names, and the labels in a zip archive at the file's end.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfeff.tflite.file import TfliteFile, pack
from tfeff.tflite.meant import Meant

ENTRY, IDENTIFIER, LABELS = b"TFLITE_METADATA", b"M001", "labels.txt"
_PARSER = "1.2.0"  # the schema's version that brought groups of tensors
_COLOURS = {"rgb": 1, "gray": 2}
_FEATURE, _IMAGE, _BOXES = 1, 2, 3  # of the union ContentProperties
_NORMALIZATION = 1  # of the union ProcessUnitOptions
_LABELLED = {"axis": 2, "value": 3}  # of AssociatedFileType
_BOUNDARIES, _CORNERS = 1, (1, 0, 3, 2)  # y1, x1, y2, x2, by the places of left, top, right and bottom
_WHEN = (1980, 1, 1, 0, 0, 0)  # the archive's first date, so that the same export gives the same bytes


@dataclass(frozen=True)
class ImageInput:
    """An image.

    Attributes:
        colour: "rgb" or "gray".
        mean, std: what is taken off pixel values 0 to 255, and what they are then divided by, by channel.
    """

    colour: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Description:
    """What is said of a file.

    Attributes:
        name, description: of the model.
        image: its input.
        outputs: in the file's order.
        labels: of its classes.
    """

    name: str
    description: str
    image: ImageInput
    outputs: tuple[Meant, ...]
    labels: tuple[str, ...]


def with_metadata(data: bytes, description: Description, what: object = "the file") -> bytes:
    """A file with metadata in it and labels behind it; its tensors, operations and constants stay as they are.

    Args:
        what: what messages call it.
    """
    file = TfliteFile(data, what)
    model, buffer, entry = file.model, schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(metadata_of(description), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = ENTRY, len(model.buffers) - 1
    model.metadata = [each for each in model.metadata or () if each.name != ENTRY] + [entry]
    held = io.BytesIO(bytes(pack(model)))
    with zipfile.ZipFile(held, "a") as archive:  # its offsets count from the start of the file
        member = zipfile.ZipInfo(LABELS, _WHEN)
        member.external_attr = 0o644 << 16
        archive.writestr(member, "".join(f"{label}\n" for label in description.labels))
    return held.getvalue()


def metadata_of(description: Description) -> bytes:
    """The flatbuffer."""
    made = _Tables()
    image = description.image
    normalization = made.table({0: made.floats(image.mean), 1: made.floats(image.std)})
    unit = made.table({1: normalization}, uint8={0: _NORMALIZATION})
    ends = [[(pixel - mean) / std for mean, std in zip(image.mean, image.std, strict=True)] for pixel in (255, 0)]
    properties = made.table({}, int8={0: _COLOURS[image.colour]})
    of_image = made.table({
        0: made.text("image"), 1: made.text("Input image to be processed."),
        3: made.table({1: properties}, uint8={0: _IMAGE}), 4: made.tables([unit]),
        5: made.table({0: made.floats(ends[0]), 1: made.floats(ends[1])}),
    })  # fmt: skip
    outputs = [_output(made, each) for each in description.outputs]
    groups = [
        made.table({0: made.text(group), 1: made.tables([made.text(each.name) for each in description.outputs
                                                         if each.grouped == group])})
        for group in dict.fromkeys(each.grouped for each in description.outputs if each.grouped)
    ]  # fmt: skip
    fields = {2: made.tables([of_image]), 3: made.tables(outputs)}
    graph = made.table(fields | ({8: made.tables(groups)} if groups else {}))
    return made.finish(made.table({
        0: made.text(description.name), 1: made.text(description.description), 3: made.tables([graph]),
        7: made.text(_PARSER),
    }))  # fmt: skip


def _output(made: "_Tables", meant: Meant) -> int:
    if meant.boxes:
        index = made.numbers(_CORNERS)
        kind, properties = _BOXES, made.table({0: index}, int8={1: _BOUNDARIES})
    else:
        kind, properties = _FEATURE, made.table({})
    content = {1: properties}
    if meant.each:
        content[2] = made.table({}, int32={0: 2, 1: 2})
    fields = {
        0: made.text(meant.name), 1: made.text(meant.description), 3: made.table(content, uint8={0: kind}),
    }  # fmt: skip
    if meant.labelled is not None:
        text = "Labels for categories that the model can recognize."
        fields[6] = made.tables([
            made.table({0: made.text(LABELS), 1: made.text(text)}, int8={2: _LABELLED[meant.labelled]})
        ])  # fmt: skip
    return made.table(fields)


class _Tables:
    """A flatbuffer of tables by their slots. A union takes two: its type, then itself."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1024)

    def text(self, value: str) -> int:
        return self._builder.CreateString(value)

    def tables(self, offsets: Sequence[int]) -> int:
        """A vector of tables, or of texts."""
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return self._builder.EndVector()

    def floats(self, values: Sequence[float]) -> int:
        return self._builder.CreateNumpyVector(np.array(values, np.float32))

    def numbers(self, values: Sequence[int]) -> int:
        return self._builder.CreateNumpyVector(np.array(values, np.uint32))

    def table(
        self, offsets: Mapping[int, int], *, int8: Mapping[int, int] | None = None,
        uint8: Mapping[int, int] | None = None, int32: Mapping[int, int] | None = None,
    ) -> int:  # fmt: skip
        """A table by what stands in each slot; slots that are not named are left out."""
        builder, slots = self._builder, [*offsets, *(int8 or ()), *(uint8 or ()), *(int32 or ())]
        builder.StartObject(max(slots, default=-1) + 1)
        for slot, offset in offsets.items():
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        for values, prepend in (
            (int8, builder.PrependInt8Slot), (uint8, builder.PrependUint8Slot), (int32, builder.PrependInt32Slot)
        ):  # fmt: skip
            for slot, value in (values or {}).items():
                prepend(slot, value, 0)
        return builder.EndObject()

    def finish(self, root: int) -> bytes:
        self._builder.Finish(root, IDENTIFIER)
        return bytes(self._builder.Output())
