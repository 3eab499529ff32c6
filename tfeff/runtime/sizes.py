"""The sizes of what a file computes, by LiteRT, and which LiteRT it is."""

from importlib.metadata import version
from pathlib import Path

from tfeff.errors import TfeffError
from tfeff.runtime.client import open_isolated
from tfeff.tflite.part import with_shapes


def sized(data: bytes, path: Path) -> bytes:
    """A file whose computed tensors have the shapes that follow from its inputs', as LiteRT allocates them.

    Args:
        data: its bytes; its inputs have fixed sizes.
        path: what messages call it.

    Raises:
        TfeffError: LiteRT refuses it at these sizes.
    """
    try:
        return with_shapes(data, open_isolated(data, str(path)).shapes())
    except (RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise TfeffError(
            f"{path}: LiteRT refuses it at these sizes ({said[:300]})", "give others: --input-shape"
        ) from None


def runtime_version() -> str:
    """The version of LiteRT that runs the files."""
    return version("ai-edge-litert")
