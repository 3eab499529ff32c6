"""Which words of a request mean something to which quantizer."""

from tfeff.errors import TfeffError
from tfeff.export.request import Request

QUANTIZERS = ("graph", "converter")


def check_quantizer(request: Request) -> None:
    """Raises TfeffError for options of int8 that mean nothing here."""
    if request.quantizer not in QUANTIZERS:
        raise TfeffError(f"unknown quantizer {request.quantizer!r}", f"choose {' or '.join(QUANTIZERS)}")
    words = {
        "--calibration-method": request.method, "--range": request.ranges, "--per-tensor": request.per_tensor,
        "--quantizer": request.quantizer != "graph", "--equalize": request.equalize,
        "--no-correct-bias": not request.correct_bias,
    }  # fmt: skip
    given = [word for word, value in words.items() if value]
    if given and request.precision != "int8":
        raise TfeffError(f"{given[0]}: means nothing for {request.precision}", "leave it out, or export --int8")
    if request.quantizer == "converter":
        ours = [word for word in given if word not in ("--quantizer", "--per-tensor")]
        if ours:
            raise TfeffError(
                f"{ours[0]}: the converter's own quantizer takes no such word", "leave out --quantizer converter"
            )
