"""Precisions: what each word of the command line means, exactly. Data; the converter's side is `converter_child.py`."""

from dataclasses import dataclass

from tfeff.errors import TfeffError


@dataclass(frozen=True)
class Precision:
    """A precision that a network can be exported in.

    Attributes:
        name: as users and records write it.
        meaning: one line for users.
        calibrated: whether activation ranges come from calibration images.
        io: dtypes that input and output may have, the default first.
        integer: whether every operation must be integer, so that a float one is an error.
    """

    name: str
    meaning: str
    calibrated: bool
    io: tuple[str, ...]
    integer: bool


PRECISIONS = {
    precision.name: precision
    for precision in (
        Precision("int8", "static full integer: weights, activations, input and output int8", True,
                  ("int8", "uint8", "float32"), True),
        Precision("float16", "weights float16, computed in float", False, ("float32",), False),
        Precision("float32", "nothing quantized", False, ("float32",), False),
        Precision("int8-dynamic", "weights int8, activations float, ranges from each run", False, ("float32",), False),
        Precision("int16x8", "activations int16, weights int8", True, ("int16", "float32"), True),
    )
}  # fmt: skip


def check_io(precision: Precision, io: str | None) -> str:
    """The dtype at the door: the one asked for if the precision has it, else its default."""
    if io is None:
        return precision.io[0]
    if io not in precision.io:
        raise TfeffError(f"--io {io} does not go with {precision.name}", f"it has {', '.join(precision.io)}")
    return io
