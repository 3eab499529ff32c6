"""From a Keras 3 network to the same network in tf_keras, which is the only Keras that tfmot takes."""

from collections.abc import Sequence
from typing import Any

from tfeff.compress.tfmot.plan import Plan, Refusal
from tfeff.errors import TfeffError


def plan_of(model: Any) -> Plan:
    """The plan of a Keras 3 network, (n, h, w, c) -> one tensor.

    Raises:
        TfeffError: layers that tf_keras has no counterpart of; all of them are named.
    """
    from tfeff.compress.tfmot.drawing import draw

    plan = draw(model)
    if plan.refusals:
        raise TfeffError(
            f"{plan.name}: {len(plan.refusals)} of its layers cannot be rebuilt in tf_keras: {listed(plan.refusals)}",
            "build the network of standard layers, or quantize it without tfmot",
        )
    return plan


def refusals(model: Any) -> list[Refusal]:
    """The layers of a Keras 3 network that cannot be rebuilt in tf_keras, none as a rule."""
    from tfeff.compress.tfmot.drawing import draw

    return draw(model).refusals


def listed(refused: Sequence[Refusal], most: int = 20) -> str:
    """Refusals in one line."""
    more = f"; and {len(refused) - most} more" if len(refused) > most else ""
    return "; ".join(map(str, refused[:most])) + more
