"""A delegate that a device's runtime loads out of a library there: Coral's, or any with TensorFlow Lite's plugin
interface (`tflite_plugin_create_delegate`)."""

import re
from typing import Any

from tfeff.errors import TfeffError

EDGETPU = "edgetpu"


def parse_delegate(named: str) -> dict[str, Any]:
    """What the worker is asked for.

    Args:
        named: `edgetpu`, `edgetpu:DEVICE` (usb, usb:0, pci, ...), or `LIBRARY[,KEY=VALUE...]`, a path or name on the
            device and the delegate's own options.

    Returns:
        `library` (empty for the Edge TPU's own), `options` (str to str).

    Raises:
        TfeffError: it is none of these.
    """
    mend = "say edgetpu, edgetpu:usb or LIBRARY,KEY=VALUE, such as /usr/lib/libvx_delegate.so"
    kind, _, device = named.partition(":")
    if kind == EDGETPU:
        if device and not re.fullmatch(r"(usb|pci)?(:\d+)?", device):
            raise TfeffError(f"--delegate {named}: {device} is no device of Coral's", mend)
        return {"library": "", "options": {"device": device} if device else {}}
    library, *pairs = named.split(",")
    options = dict(pair.partition("=")[::2] for pair in pairs)
    if not library or not all(options) or not all("=" in pair for pair in pairs):
        raise TfeffError(f"--delegate {named}: is no library with options", mend)
    if "/" not in library and not re.search(r"\.(so|dylib|dll)(\.\d+)*$", library):
        raise TfeffError(
            f"--delegate {named}: is no delegate", f"xnnpack, gpu and nnapi are a phone's; elsewhere {mend}"
        )
    return {"library": library, "options": options}
