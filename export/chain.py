"""The chain from the model as it was brought to the float network that is quantized, as the record tells it."""

from tfeff.export.making import Made
from tfeff.export.proofs import FloatError
from tfeff.export.recording import Way
from tfeff.export.rewrites.proving import TOLERANCE, Distance
from tfeff.record.schema import Link

MODEL = "model"


def links(copy: str, way: Way, made: Made, copied: FloatError | None, float_error: FloatError) -> list[Link]:
    """The links of an export, each measured on the same inputs.

    Args:
        copy: what a copy of the model is called (`Model.copied`).
        way: how the model came to the converter.
        made: what was made of it.
        copied: of the copy, where there is one.
        float_error: of the float file.
    """
    found, start = [], MODEL
    if copied is not None:
        start = copy
        found.append(_of_file(MODEL, copy, copied))
    last = start
    for name, apart, allowed in (
        ("inlined", way.rewritten.inlined, TOLERANCE),
        ("rewritten", way.rewritten.rewritten, way.rewritten.allowed),
    ):
        if apart is not None:
            found.append(_of_graph(last, name, apart, allowed))
            last = name
    found.append(_of_file(start, "float file", float_error))
    if made.int8 is not None and made.int8.graph_distance is not None:
        found.append(_of_graph(last, "simulation", *made.int8.graph_distance))
    return found


def _of_file(of: str, to: str, error: FloatError) -> Link:
    return Link(
        of=of, to=to, max_abs_error=error.max_abs_error, relative_error=error.relative_error, allowed=error.allowed,
        of_logits=error.of_logits,
    )  # fmt: skip


def _of_graph(of: str, to: str, apart: Distance, allowed: float) -> Link:
    return Link(of=of, to=to, max_abs_error=apart.largest, relative_error=apart.relative, allowed=allowed)
