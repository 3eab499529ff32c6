"""tfeff: efficient vision networks, exported to int8 TFLite and proven equal to the network that was trained.

`create`, `list_networks` and `load_preset` are the front door; `tfeff.export.export_model` and `tfeff.calibration` go
on from there. Importing this package costs nothing: TensorFlow is loaded when a network is built.
"""

from importlib import import_module

__version__ = "0.1.0"

_PUBLIC = {
    "create": "tfeff.networks",
    "list_networks": "tfeff.networks",
    "load_preset": "tfeff.presets",
    "GroupConv2D": "tfeff.layers",
    "quantize_aware": "tfeff.export.quantize.aware",
    "TfeffError": "tfeff.errors",
    "GateFailed": "tfeff.errors",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'tfeff' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_PUBLIC])
