"""Magnitude pruning and weight clustering with tfmot, both with fine-tuning. For the child's process only."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras

from tfeff.compress.tfmot import tf_keras_layers as own
from tfeff.compress.tfmot import training_child
from tfeff.compress.tfmot.tf_keras_graph import read_weights

_RAMP = 0.5  # of the steps, in which the sparsity rises; the rest is for the weights that are left
_UPDATES = 20  # of the masks, while it rises


def prune(model: Any, request: Mapping[str, Any], tell: Callable[..., None]) -> dict:
    """Trains `model` while its smallest weights are set to 0; writes all weights to `request["result"]`."""
    steps, sparsity = request["steps"], request["sparsity"]
    end = max(1, int(_RAMP * steps))
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=sparsity,
        begin_step=0,
        end_step=end,
        frequency=max(1, end // _UPDATES),
    )
    wrap = tfmot.sparsity.keras.prune_low_magnitude
    callback = tfmot.sparsity.keras.UpdatePruningStep()
    strip = tfmot.sparsity.keras.strip_pruning
    return _compress(model, request, tell, lambda layer: wrap(layer, pruning_schedule=schedule), strip, [callback])


def cluster(model: Any, request: Mapping[str, Any], tell: Callable[..., None]) -> dict:
    """Trains `model` while the weights of a kernel have few values; writes all weights to `request["result"]`."""
    api = tfmot.clustering.keras
    start = api.CentroidInitialization.KMEANS_PLUS_PLUS

    def wrap(layer):
        return api.cluster_weights(
            layer,
            number_of_clusters=request["clusters"],
            cluster_centroids_init=start,
            cluster_per_channel=False,
        )

    return _compress(model, request, tell, wrap, api.strip_clustering, [])


def _compress(model, request, tell, wrap, strip, callbacks):
    training_child.set_seed(request["seed"])
    chosen = set(request["layers"])

    def clone(layer):
        return wrap(layer) if layer.name in chosen else layer

    with tf_keras.utils.custom_object_scope({"GroupConv2D": own.GroupConv2D}):
        wrapped = tf_keras.models.clone_model(model, clone_function=clone)
        losses = training_child.fit(wrapped, request, tell, callbacks)
        stripped = strip(wrapped)
    weights: dict[str, Any] = read_weights(stripped, request["plan"])
    np.savez(Path(request["result"]), **weights)
    return {"losses": losses}
