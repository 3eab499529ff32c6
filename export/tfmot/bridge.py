"""From a Keras 3 network to the same network in tf_keras, which is the only Keras that tfmot takes."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tfeff.export.tfmot import process
from tfeff.export.tfmot.plan import Plan, Refusal, draw

from tfeff.errors import TfeffError


def plan_of(model) -> Plan:
    """The plan of a Keras 3 network, (n, h, w, c) -> one tensor.

    Raises:
        TfeffError: layers that tf_keras has no counterpart of; all of them are named.
    """
    plan = draw(model)
    if plan.refusals:
        raise TfeffError(
            f"{plan.name}: {len(plan.refusals)} of its layers cannot be rebuilt in tf_keras: {listed(plan.refusals)}",
            "build the network of standard layers, or quantize it without tfmot",
        )
    return plan


def refusals(model) -> list[Refusal]:
    """The layers of a Keras 3 network that cannot be rebuilt in tf_keras, none as a rule."""
    return draw(model).refusals


def prove(model, images: np.ndarray) -> float:
    """Rebuilds a Keras 3 network in tf_keras and compares the two.

    Args:
        model: functional, (n, h, w, c) -> one tensor.
        images: float32 (n, h, w, c), preprocessed; real ones, so that every activation is exercised.

    Returns:
        The largest difference over the largest output, at most `process.TOLERANCE`.

    Raises:
        TfeffError: layers that cannot be rebuilt (all are named), a larger difference, or no tfmot.
    """
    plan = plan_of(model)
    with TemporaryDirectory() as folder:
        answer = process.run("prove", plan, model, images, Path(folder), lambda step, done, total: None)
    return answer["relative_error"]


def listed(refused: Sequence[Refusal], most: int = 20) -> str:
    """Refusals in one line."""
    more = f"; and {len(refused) - most} more" if len(refused) > most else ""
    return "; ".join(map(str, refused[:most])) + more
