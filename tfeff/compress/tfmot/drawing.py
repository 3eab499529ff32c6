"""Writing a functional Keras 3 model down as a plan."""

from typing import Any

import keras

from tfeff.compress.tfmot.plan import Plan, Ref
from tfeff.compress.tfmot.vocabulary import Vocabulary
from tfeff.errors import TfeffError
from tfeff.export.rewrites.copying import CannotRewrite
from tfeff.export.rewrites.graph import as_functional, inline, walk


def draw(model: Any) -> Plan:
    """Writes a functional Keras 3 model down.

    Layers that are idle outside of training (Dropout) are left out, models within the model are opened, and a layer
    that is called twice becomes two.

    Args:
        model: one image (n, h, w, c) in, one tensor out.

    Returns:
        The plan; layers that it has no word for are in its `refusals`, all of them.

    Raises:
        TfeffError: the model has no graph, or not one input and one output.
    """
    functional = as_functional(model)
    if functional is None:
        raise CannotRewrite(f"{model.name}: has no graph to rebuild", "build it functionally")
    if len(functional.inputs) != 1 or len(functional.outputs) != 1 or len(functional.inputs[0].shape) != 4:
        raise TfeffError(f"{model.name}: tfmot takes networks of one image and one output here")
    functional = inline(functional)
    shape = tuple(functional.inputs[0].shape[1:])
    if None in shape:
        raise TfeffError(f"{model.name}: its input size is open", "build it for one size")
    plan = Plan(model.name, shape)
    words = Vocabulary(plan)
    output = walk(functional, [Ref(0, (None, *shape))], words.write)
    (plan.output,) = (ref.index for ref in keras.tree.flatten(output))
    return plan
