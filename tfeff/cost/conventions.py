"""The conventions in which papers print what a network costs: a published figure is compared with its own count."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras

from tfeff.cost.counting import count, madds
from tfeff.cost.graph import calls
from tfeff.layers import ActiveShift2D


def _values_out_of(model, kind) -> int:
    """Values of one image that leave layers of that kind."""
    return sum(math.prod(c.outputs[0][1:]) for c in calls(model) if isinstance(c.operation, kind))


def _without_batch_norm(model) -> int:
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    return count(model).parameters - sum(math.prod(v.shape) for layer in norms for v in layer.trainable_variables)


def _without_classifier(model) -> int:
    *_, last = (c.operation for c in calls(model) if isinstance(c.operation, keras.layers.Dense))
    return madds(model) - math.prod(last.kernel.shape)


# Key in `published` -> in words, and how it is counted.
CONVENTIONS: dict[str, tuple[str, Callable[..., int]]] = {
    "parameters": ("parameters", lambda model: count(model).parameters),
    "parameters_without_bn": ("parameters without those of BN", _without_batch_norm),
    "parameters_with_level_scales": (
        "parameters, and 4 that Paddle keeps and never reads",  # `head.p3_feat.scale_reg` and the like, one a level
        lambda model: count(model).parameters + 4,
    ),
    "values": ("stored values", lambda model: count(model).values),
    "bytes_float32": ("bytes, float32", lambda model: 4 * count(model).values),
    "madds": ("MAdds", madds),
    "madds_with_batch_norm": (
        "MAdds, and 2 for each value out of a BN",
        lambda model: madds(model) + 2 * _values_out_of(model, keras.layers.BatchNormalization),
    ),
    "madds_without_classifier": ("MAdds without the classifier", _without_classifier),
    "madds_with_4_per_shift": (
        "MAdds, and 4 for each shifted value",
        lambda model: madds(model) + 4 * _values_out_of(model, ActiveShift2D),
    ),
    "madds_with_1_per_shift": (
        "MAdds, and 1 for each shifted value",
        lambda model: madds(model) + _values_out_of(model, ActiveShift2D),
    ),
    "operations": ("operations, two for each MAdd", lambda model: 2 * madds(model)),
}


def count_as(model: keras.Model, convention: str) -> int:
    """A built Keras model counted in one of the `CONVENTIONS`, one image.

    Raises:
        KeyError: an unknown convention.
        ValueError: as `count` does.
    """
    return CONVENTIONS[convention][1](model)


def count_as_published(model: keras.Model, published: Mapping[str, Any]) -> dict[str, int]:
    """Every figure in `published` (key -> value) that has a convention, counted in it."""
    return {key: count_as(model, key) for key in published if key in CONVENTIONS}


def printed_digits(figure: int) -> int:
    """Digits of a printed figure that say something: 2 of 1,400,000,000."""
    return len(str(figure).rstrip("0"))


def meets(counted: int, published: int, within: float = 0.01) -> bool:
    """Whether a count is the published figure: within 1 %, or, as printed with one or two digits, rounded like it."""
    if abs(counted - published) <= within * published:
        return True
    digits = printed_digits(published)
    return digits <= 2 and float(f"{counted:.{digits - 1}e}") == published
