"""Running `.tflite` files in LiteRT: in this process those that we made ourselves, in a worker's those of others."""

from tfeff.runtime.client import open_isolated
from tfeff.runtime.here import native_stderr_muted, open_here
from tfeff.runtime.opened import Opened, Port
from tfeff.runtime.sizes import runtime_version, sized

__all__ = ["Opened", "Port", "native_stderr_muted", "open_here", "open_isolated", "runtime_version", "sized"]
