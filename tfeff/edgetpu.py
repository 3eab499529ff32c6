"""Coral's Edge TPU as a runtime meets it: files that hold its compiler's operator, and the library that runs it.

`EDGETPU_DEVICE` names one of several devices (`usb`, `usb:0`, `pci`, `pci:0`, `:1`), `EDGETPU_LIBRARY` the library,
where it is not the system's own. `bench/worker.py` opens the library by itself, for it runs where tfeff is not.
"""

import ctypes
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfeff.errors import TfeffError
from tfeff.tflite.verify import custom_operators

OPERATOR, ETHOS_U = "edgetpu-custom-op", "ethos-u"
LIBRARIES = {"darwin": "libedgetpu.1.dylib", "win32": "edgetpu.dll"}
LINUX = "libedgetpu.so.1"
GET_LIBRARY = "install Coral's libedgetpu built for this runtime's version, or name it in EDGETPU_LIBRARY"
GET_DEVICE = "plug one in, see that you may use it (udev rules), or name another in EDGETPU_DEVICE (usb:0, pci:0)"


def needs_edgetpu(path: Path) -> bool:
    """Whether a file was compiled for the Edge TPU.

    Raises:
        TfeffError: it was compiled for Ethos-U, which no computer has that this could run on.
    """
    found = custom_operators(path)
    if ETHOS_U in found:
        raise TfeffError(
            f"{path}: is compiled for Ethos-U (it holds {ETHOS_U}), which runs on the microcontroller only",
            "run the file that it was compiled from; Vela's estimates of this one are in that file's record",
        )
    return OPERATOR in found


def device() -> str:
    """What EDGETPU_DEVICE says; empty for any device.

    Raises:
        TfeffError: it is no name of a device.
    """
    named = os.environ.get("EDGETPU_DEVICE", "")
    if named and not re.fullmatch(r"(usb|pci)?(:\d+)?", named):
        raise TfeffError(f"EDGETPU_DEVICE={named}: is no device", "say usb, usb:0, pci, pci:0 or :0")
    return named


def open_delegate(load_delegate: Callable[..., Any]) -> Any:
    """The delegate, to be given to an interpreter.

    Args:
        load_delegate: the runtime's own.

    Raises:
        TfeffError: the library or the device is not there.
    """
    library, options = find_delegate()
    try:
        return load_delegate(library, options)
    except (ValueError, RuntimeError) as error:
        raise no_device(options, error) from None


def find_delegate() -> tuple[str, dict[str, str]]:
    """The library that a runtime's `load_delegate` is asked for, and its options.

    Raises:
        TfeffError: the library is not there.
    """
    library = os.environ.get("EDGETPU_LIBRARY") or LIBRARIES.get(sys.platform, LINUX)
    wanted = device()
    try:
        # Asked first: a runtime's delegate that has no library complains once more, on stderr, when it is thrown away.
        ctypes.CDLL(library).tflite_plugin_create_delegate  # noqa: B018
    except (OSError, AttributeError) as error:
        raise TfeffError(f"the Edge TPU's library {library} cannot be loaded ({error})", GET_LIBRARY) from None
    return library, {"device": wanted} if wanted else {}


def no_device(options: dict[str, str], said: object) -> TfeffError:
    """The error where `load_delegate` failed with these options."""
    which = f" {options['device']!r}" if options else ""
    return TfeffError(f"no Edge TPU{which} can be opened ({' '.join(str(said).split())})", GET_DEVICE)
