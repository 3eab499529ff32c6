"""What pruning and clustering have in common: through the bridge and back into the Keras 3 network."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.compress.tfmot import bridge, process
from tfeff.compress.tfmot.plan import Plan
from tfeff.compress.tfmot.samples import Training, tfmot_versions
from tfeff.errors import TfeffError
from tfeff.export import steps
from tfeff.export.context import Progress
from tfeff.export.model import Model

# Kinds whose kernels are worth it: tfmot leaves depthwise kernels alone, which are few weights and lose much.
_KINDS = ("conv2d", "conv2d_transpose", "dense")
# No converter takes a shift that is learned; its taps are constants, which are neither trained nor compressed.
_REWRITES = ("freeze_shift",)
_FEWEST_STEPS = 4  # in half of them the weights are changed; below, tfmot does not come to its end


@dataclass(frozen=True)
class Compressed:
    """A network with compressed weights.

    Attributes:
        model: the network, a copy with other weights.
        layers: name of every compressed layer -> its kernel, as the network holds it: float32, filters last.
        losses: mean loss of each tenth of the training.
        bridge_error: largest difference of the network in tf_keras to that in Keras 3, over the largest output.
        settings: how it was made, for the record.
    """

    model: Model
    layers: dict[str, np.ndarray]
    losses: list[float]
    bridge_error: float
    settings: dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """One way to compress.

    Attributes:
        task: of the child.
        choose: whether a kernel is to be compressed.
        settings: for the child and for the record.
    """

    task: str
    choose: Callable[[np.ndarray], bool]
    settings: dict[str, Any]


def compress(
    kind: Kind, model: Model, training: Training, *, skip: tuple[str, ...], folder: Path, progress: Progress
) -> Compressed:
    """Fine-tunes a network in tf_keras while tfmot compresses its weights; see `prune` and `cluster`.

    Args:
        skip: names of layers that are left as they are.
    """
    process.check_installed()
    if (count := training.count()) < _FEWEST_STEPS:
        raise TfeffError(
            f"{kind.task}: {count} steps of training are too few", "give more --epochs, or smaller batches"
        )
    training.check(model)
    own = _layers_of(model)
    if unknown := [name for name in skip if name not in own]:
        raise TfeffError(f"--skip {unknown[0]}: {model.network} has no such layer", f"it has {', '.join(own)}"[:500])
    progress("rewriting", 0, 0)
    proof = np.asarray(training.images[: steps.PROOF_SAMPLES], np.float32)
    rewritten = steps.rewrite(model, _REWRITES, {model.inputs[0].name: proof})
    if rewritten.refused:
        raise TfeffError(f"{model.network} cannot be rewritten for tfmot: {rewritten.refused}")
    plan = bridge.plan_of(rewritten.callable)
    chosen = [node["name"] for at, node in enumerate(plan.nodes) if node["name"] not in skip and
              node["kind"] in _KINDS and node["trainable"] and kind.choose(plan.weights[f"{at}/0"])]  # fmt: skip
    if not chosen:
        raise TfeffError(f"{kind.task}: {model.network} has no layer whose weights could be compressed")
    _check_return(plan, own, model)
    result = Path(folder).resolve() / "compressed.npz"
    request = {**training.request(), "layers": chosen, "result": result, **kind.settings}
    answer = process.run(process.Task(kind.task, plan, rewritten.callable, proof, request), Path(folder), progress)
    with np.load(result) as archive:
        weights = {key: archive[key] for key in archive.files}
    compressed = _with_weights(model, plan, weights)
    kernels = {node["name"]: weights[f"{at}/0"] for at, node in enumerate(plan.nodes) if node["name"] in chosen}
    return Compressed(
        compressed,
        kernels,
        answer["losses"],
        answer["relative_error"],
        {**kind.settings, **training.settings(), "layers": len(chosen), "versions": tfmot_versions()},
    )


def _layers_of(model):
    """The layers of a network by name, those of models within it too.

    Raises:
        TfeffError: two layers of one name, or one that is called twice: in tf_keras it would be two, with weights that
        part ways.
    """
    from tfeff.export.rewrites.graph import as_functional
    from tfeff.layers.keras_private import nodes_of

    found: dict[str, Any] = {}
    twice = []

    def collect(network):
        for operation in network.operations:
            if (inner := as_functional(operation)) is not None:
                collect(inner)
            elif getattr(operation, "weights", None):
                if operation.name in found or len(nodes_of(operation)) > 1:
                    twice.append(operation.name)
                found[operation.name] = operation

    functional = as_functional(model.callable)
    if functional is None:
        raise TfeffError(f"{model.network}: has no graph to rebuild", "build it functionally")
    collect(functional)
    if twice:
        raise TfeffError(
            f"{model.network}: layers that are called twice, or share a name: {', '.join(twice)}",
            "give each layer a name of its own, and call it once",
        )
    return found


def _check_return(plan: Plan, own, model):
    """That everything which trains has a layer to go back to."""
    lost = [node["name"] for node in plan.nodes if node["weights"] and node["trainable"] and node["name"] not in own]
    if lost:
        raise TfeffError(
            f"{model.network}: what is trained of {', '.join(lost)} could not be put back",
            "build a separable convolution as the two that it is",
        )


def _with_weights(model, plan, weights):
    """A copy of the network with the weights of the plan's nodes in the layers of the same names."""
    import keras

    from tfeff.export.rewrites.graph import as_functional

    own_model = keras.models.clone_model(as_functional(model.callable))
    own_model.set_weights(as_functional(model.callable).get_weights())
    copy = replace(model, callable=own_model)
    own = _layers_of(copy)
    for at, node in enumerate(plan.nodes):
        if node["weights"] and node["name"] in own:
            own[node["name"]].set_weights([weights[f"{at}/{number}"] for number in range(node["weights"])])
    return copy
