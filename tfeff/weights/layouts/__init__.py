"""Where other projects keep the weights of a family: one file a family, one function a source.

A function takes the built model and returns its layout, {layer's name: prefix in the state dict}, as
`tfeff.weights.torch_layout.import_state_dict` wants it.
"""

from importlib import import_module
from importlib.util import find_spec

from tfeff.errors import TfeffError


def get_layout(model, family: str, source: str) -> dict[str, str]:
    """The layout that `source` ("torchvision", "timm", ...) has for a network of that family.

    Raises:
        TfeffError: a family or source without a layout.
    """
    name = f"{__name__}.{family}"
    module = import_module(name) if find_spec(name) else None
    if module is None or source not in module.SOURCES:
        known = ", ".join(sorted(module.SOURCES)) if module else "none"
        raise TfeffError(f"family {family} has no weight layout {source!r}", f"its layouts: {known}")
    return module.SOURCES[source](model)
