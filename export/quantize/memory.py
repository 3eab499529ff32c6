"""Memory that TensorFlow and Keras leave behind, given back to the system while an export goes on.

A graph of theirs is a cycle of references that nothing but the garbage collector ends, and what was allocated for the
protocol buffers of a network stays with the process. An export makes about a dozen such graphs, each of which holds the
weights several times. To look for garbage takes a third of a second, so nothing is done for small networks. Also runs
in the converter's process.
"""

import ctypes
import gc
from functools import cache
from typing import Any

_LARGE = 8 * 2**20  # bytes of weights


def give_back(size: int) -> None:
    """Frees what nobody reads any more, after work on a network with weights of so many bytes."""
    if size < _LARGE:
        return
    gc.collect()
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    """glibc's `malloc_trim`; None where there is another library."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
