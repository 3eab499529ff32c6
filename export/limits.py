"""What a graph of Keras layers says before any work is done: layers that no int8 file can hold, and activations for
which a target refuses the whole file."""

from collections.abc import Iterator
from typing import Any

from tfeff.errors import GateFailed
from tfeff.export.model import Model
from tfeff.export.request import Request
from tfeff.export.targets import Target

_NO_INT8 = {"Conv3D": "CONV_3D", "Conv3DTranspose": "CONV_3D_TRANSPOSE"}


def check_limits(model: Model, request: Request, target: Target) -> None:
    """Raises GateFailed for what the gates on the finished file would refuse, where the layers say it already.

    Args:
        model: of any kind; only a Keras model's layers are known.
    """
    if request.precision != "int8" or not model.is_keras or model.fake_quant is not None:
        return
    words = {word.upper() for word in request.allow_float}
    every = list(_layers(model.keras))
    unable = [(layer, _NO_INT8[kind]) for layer in every if (kind := type(layer).__name__) in _NO_INT8]
    left = [f"{name} ({layer.name})" for layer, name in unable if not words & {name, layer.name.upper()}]
    if left:
        names = dict.fromkeys(name for _, name in unable)
        raise GateFailed(
            f"--int8 would leave {len(left)} operation{'s' if len(left) > 1 else ''} in float: {'; '.join(left[:5])}",
            "replace these layers by ones that quantize, let them stay in float with "
            f"{' '.join(f'--allow-float {name}' for name in names)}, or export --float16; nothing was written",
        )
    for layer in every:
        curve = next((name for name in _curves(layer) if name in target.unable), None)
        if curve is not None:
            raise GateFailed(
                f"target {target.name} would not run this file: {layer.name} ({curve}) becomes {target.unable[curve]}, "
                "for which it refuses the whole file",
                "take another activation (relu, relu6, silu); nothing was written",
            )


def _layers(model: Any) -> Iterator[Any]:
    """Every layer, those inside others too; operations that are no layer as well."""
    for layer in getattr(model, "operations", None) or model.layers:
        yield layer
        if getattr(layer, "layers", None):
            yield from _layers(layer)


def _curves(layer: Any) -> Iterator[str]:
    """Names of the function that a layer or operation applies last."""
    yield type(layer).__name__.lower()
    yield getattr(getattr(layer, "activation", None), "__name__", "")
