"""`--with-nms`: a detector's files end in boxes, by TensorFlow Lite's own TFLite_Detection_PostProcess.

What was proven stays as it is, bit for bit; behind it stand operations in float: a DEQUANTIZE for each head, for each
has a scale of its own, then reshapes, one concatenation of the boxes and one of the scores, and the operation, which
takes float32 and uint8 alone (of int8 it fails when it is invoked). Its anchors, scales and thresholds are those of the
record, so that its boxes are those that the task decodes from the heads.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfeff.compare import Runner
from tfeff.errors import TfeffError
from tfeff.export.context import ExportContext
from tfeff.export.making import Made
from tfeff.export.proofs import samples
from tfeff.export.recording import ports_of
from tfeff.record.schema import Port, TaskSpec
from tfeff.tasks import get_task
from tfeff.tasks.boxes import Detections, overlaps
from tfeff.tasks.detection_decode import decode
from tfeff.tasks.detection_spec import read_spec
from tfeff.tasks.suppression import Suppression
from tfeff.tflite.appended import Appender
from tfeff.tflite.file import NUMPY

OPERATION = "TFLite_Detection_PostProcess"
_ALIKE, _LEAST = 0.999, 0.99  # IoU of a box with its like, and the share of boxes that must have one


@dataclass(frozen=True)
class Ended:
    """Files that end in boxes.

    Attributes:
        context: with a model whose outputs mean boxes.
        made: what was made, with these files in place of the others.
        note: for the record.
        heads: what the boxes are made of.
    """

    context: ExportContext
    made: Made
    note: str
    heads: list[Port]


def end_in_boxes(context: ExportContext, made: Made, inputs: Mapping[str, np.ndarray]) -> Ended:
    """Both files with the operation behind them; the ones that were made stay.

    Args:
        inputs: by input (n, ...), on which the boxes are compared with those that the task decodes.

    Raises:
        TfeffError: the boxes are others.
    """
    (task,) = context.model.tasks
    numbers = get_task(task.name).suppression(task)
    folder = context.folder / "boxes"
    folder.mkdir()
    files = {path: folder / path.name for path in (made.file, made.twin)}
    for old, new in files.items():
        new.write_bytes(append_suppression(old.read_bytes(), numbers, old))
    same, count = _alike(made.file, files[made.file], task, numbers.task, samples(inputs))
    if same < _LEAST * count:
        raise TfeffError(
            f"--with-nms: of {count} boxes that {context.model.network} gives, {OPERATION} gives {same}",
            "this is a bug: leave it out, and report it",
        )
    form = f"ends in {OPERATION}, float operations behind the proven file; {same} of {count} boxes are those of its heads"
    model = replace(context.model, outputs=tuple(numbers.task.outputs), tasks=(numbers.task,))
    heads = ports_of(context, made.file)[1]
    return Ended(replace(context, model=model), replace(made, file=files[made.file], twin=files[made.twin]), form, heads)


def check_nms(context: ExportContext) -> None:
    """Raises TfeffError where `--with-nms` is asked for of a model whose answer is no boxes, or others than the
    operation makes."""
    tasks = context.model.tasks
    if not context.request.with_nms:
        return
    if len(tasks) != 1:
        raise TfeffError(f"--with-nms: {context.model.network} has {len(tasks)} tasks", "leave it out")
    get_task(tasks[0].name).suppression(tasks[0])


def append_suppression(data: bytes, numbers: Suppression, what: object = "the file") -> bytes:
    """A file that ends in heads, by their names in its signature, with the operation behind them."""
    maker = Appender(data, what)
    heads = maker.file.signature()[1]
    boxes = _joined(maker, [heads[name] for name in numbers.boxes], 4, "boxes")
    places = len(numbers.anchors)
    ordered = maker.tensor("boxes_in_order", (1, places, 4))
    options = schema.GatherOptionsT()
    options.axis = 2
    order = maker.constant("order_of_a_box", np.array(numbers.order, np.int32))
    maker.operation("GATHER", [boxes, order], [ordered], options)
    if numbers.largest is not None and _may_exceed(maker, [heads[name] for name in numbers.boxes], numbers.largest):
        limited = maker.tensor("boxes_limited", (1, places, 4))
        limit = maker.constant("largest_box", numbers.largest.reshape(1, 1, 4).astype(np.float32))
        maker.operation("MINIMUM", [ordered, limit], [limited], schema.MaximumMinimumOptionsT())
        ordered = limited
    raw = _joined(maker, [heads[name] for name in numbers.scores], numbers.channels, "scores")
    chances = maker.tensor("chances", (1, places, numbers.channels))
    if numbers.score == "softmax":
        softmax = schema.SoftmaxOptionsT()
        softmax.beta = 1.0
        maker.operation("SOFTMAX", [raw], [chances], softmax)
    else:
        maker.operation("LOGISTIC", [raw], [chances])
    most = int(numbers.options["max_detections"])
    shapes = zip(numbers.task.outputs, ((1, most, 4), (1, most), (1, most), (1,)), strict=True)
    outputs = {
        name: maker.tensor(OPERATION if number == 0 else f"{OPERATION}:{number}", shape)
        for number, (name, shape) in enumerate(shapes)
    }
    anchors = maker.constant("anchors", numbers.anchors)
    maker.custom_operation(OPERATION, [ordered, chances, anchors], [*outputs.values()], numbers.options)
    return maker.pack(outputs)


def _joined(maker: Appender, heads: Sequence[int], width: int, name: str) -> int:
    """Heads (1, rows, columns, anchors * width) as one float tensor (1, places, width)."""
    parts = []
    for level, head in enumerate(heads):
        shape = maker.file.shape(head)
        if maker.file.dtype(head) != "FLOAT32":
            real = maker.tensor(f"{name}_real_{level}", shape)
            maker.operation("DEQUANTIZE", [head], [real], version=2)
            head = real
        rows = (1, int(np.prod(shape)) // width, width)
        part = maker.tensor(f"{name}_rows_{level}", rows)
        options = schema.ReshapeOptionsT()
        options.newShape = np.array(rows, np.int32)
        maker.operation("RESHAPE", [head, maker.constant(f"{name}_shape_{level}", options.newShape)], [part], options)
        parts.append((part, rows[1]))
    if len(parts) == 1:
        return parts[0][0]
    whole = maker.tensor(name, (1, sum(count for _, count in parts), width))
    options = schema.ConcatenationOptionsT()
    options.axis = 1
    maker.operation("CONCATENATION", [part for part, _ in parts], [whole], options)
    return whole


def _may_exceed(maker: Appender, heads: Sequence[int], largest: np.ndarray) -> bool:
    """Whether a head can hold more than boxes may be; a float one can."""
    for head in heads:
        found = maker.file.scales(head)
        if found is None:
            return True
        most = np.iinfo(NUMPY[maker.file.dtype(head)]).max
        if (most - found.zero_points[0]) * found.scales[0] > largest.min():
            return True
    return False


def _alike(
    body: Path, ended: Path, task: TaskSpec, listed: TaskSpec, feeds: Iterator[dict[str, np.ndarray]]
) -> tuple[int, int]:
    """Of the boxes that the task decodes from a file's heads, how many the other file lists; and how many these are.

    What is cut off at the image's border is compared whole: the operation cuts off nothing, so that boxes that lie
    beyond it may be suppressed otherwise.
    """
    one, other = Runner(body, isolated=False), Runner(ended, isolated=False)
    specs = [read_spec({**each.decode, "clip": False}) for each in (task, listed)]
    same = count = 0
    for feed in feeds:
        ours, theirs = decode(one(feed), specs[0]), decode(other(feed), specs[1])
        same, count = same + _found(ours, theirs), count + len(ours)
    return same, count


def _found(ours: Detections, theirs: Detections) -> int:
    if not len(ours) or not len(theirs):
        return 0
    like = (overlaps(ours.boxes, theirs.boxes) >= _ALIKE) & (ours.classes[:, None] == theirs.classes[None])
    like &= np.abs(ours.scores[:, None] - theirs.scores[None]) < 1e-4
    return int(like.any(axis=1).sum())
