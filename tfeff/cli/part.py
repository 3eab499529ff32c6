"""`--signature` and `--input-shape`: which part of a foreign file is looked at, and at which sizes."""

import re
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from tfeff.errors import TfeffError

_MOST = 2**31 - 1


def part_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options, given to the command as one `part` (`tfeff.tflite.part.PartOptions`)."""

    @click.option("--signature", metavar="NAME", help="Of several signatures or subgraphs the one that is looked at.")
    @click.option(
        "--input-shape",
        "shapes",
        multiple=True,
        metavar="[NAME=]SIZES",
        help="Sizes of an input that the file leaves open, such as image=1x224x224x3; repeatable.",
    )
    @wraps(command)
    def with_part(*args: Any, signature: str | None, shapes: tuple[str, ...], **given: Any) -> Any:
        from tfeff.tflite.part import PartOptions

        return command(*args, part=PartOptions(signature, parse_shapes(shapes)), **given)

    return with_part


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """{input: sizes} of `NAME=1x224x224x3`; "" for a bare shape.

    Raises:
        TfeffError: it is none, or an input is named twice.
    """
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        if not re.fullmatch(r"[1-9]\d*([x,][1-9]\d*)*", sizes) or max(map(int, re.split("[x,]", sizes))) > _MOST:
            raise TfeffError(f"--input-shape {text}: is no shape", "say NAME=1x224x224x3, or 1x224x224x3 of one input")
        if name in found:
            raise TfeffError(f"--input-shape {text}: a second shape of {name or 'the input'}", "say one")
        found[name] = tuple(map(int, re.split("[x,]", sizes)))
    return found


def sized_part(data: bytes, path: Path) -> bytes:
    """A part with the sizes of all that it computes, by LiteRT."""
    from tfeff.runtime import sized

    return sized(data, path)
