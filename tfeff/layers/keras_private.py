"""All that we use of Keras without Keras promising it: who calls whom in a functional model, as its own files know it.

Keras 3 builds a graph of nodes while layers are called on symbolic tensors, and offers no way to read it but `summary`
and `get_config`. What is read here was tried with Keras 3.12, 3.13, 3.14 and 3.15; `tests/layers/test_keras_private.py`
names each of these attributes, so that another version that lacks one says so there and not in an export.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import keras


@dataclass(frozen=True, eq=False)
class Node:
    """One call of a layer or of an operation (`x + y`, `ops.reshape`) on symbolic tensors.

    Attributes:
        operation: what was called.
        inputs, outputs: its tensors, flat.
    """

    operation: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    _node: Any

    def arguments(self, tensors: Mapping[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What it was called with, (args, kwargs), other tensors in place of its own.

        Args:
            tensors: what takes a tensor's place, by the tensor's `id`.
        """
        return self._node.arguments.fill_in(tensors)

    def given(self) -> tuple[Any, ...]:
        """All that it was called with, in order, by name or not: symbolic tensors, numbers, axes."""
        return (*self._node.arguments.args, *self._node.arguments.kwargs.values())


def _node(node: Any) -> Node:
    return Node(node.operation, tuple(node.input_tensors), tuple(node.output_tensors), node)


def has_graph(model: Any) -> bool:
    """Whether it is a model whose graph can be read."""
    return isinstance(model, keras.Model) and hasattr(model, "_nodes_by_depth")


def computes_its_graph(model: Any) -> bool:
    """Whether a model that `has_graph` has no `call` of its own, which may compute anything else."""
    plain: Any = next((each for each in type(model).__mro__ if each.__name__ == "Functional"), None)
    return plain is not None and type(model).call is plain.call


def inside(model: Any) -> Any:
    """The functional model that a built Sequential is inside; anything else itself."""
    return getattr(model, "_functional", None) or model


def nodes(model: Any) -> Iterator[Node]:
    """The calls in the graph of a model that `has_graph`, each after those whose tensors it reads; inputs are none."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not node.is_input:
                yield _node(node)


def nodes_of(operation: Any) -> list[Node]:
    """Every call of an operation, in whatever model."""
    return [_node(node) for node in operation._inbound_nodes]


def only_node(operation: Any) -> Node:
    """The call of an operation that is called once, as those of an inlined model are.

    Raises:
        ValueError: it is called more often, or never.
    """
    (node,) = operation._inbound_nodes
    return _node(node)


def forget_nodes(operation: Any) -> None:
    """Makes a copy of an operation one that has not been called yet."""
    operation._inbound_nodes, operation._outbound_nodes = [], []


def origin(tensor: Any) -> tuple[Any, int]:
    """(what makes a symbolic tensor, which of its outputs that is); an input's is its InputLayer."""
    history = tensor._keras_history
    return history.operation, history.tensor_index


def maker(tensor: Any) -> Any:
    """What makes a symbolic tensor."""
    return origin(tensor)[0]


def input_structure(model: Any) -> Any:
    """A functional model's inputs as it takes them: a tensor, a list, a dictionary."""
    return model._inputs_struct


def output_structure(model: Any) -> Any:
    """A functional model's outputs as it gives them."""
    return model._outputs_struct


def flat_layers(layer: Any) -> list[Any]:
    """A layer and all layers that it holds."""
    return list(layer._flatten_layers())


@contextmanager
def undrawn() -> Iterator[None]:
    """Weights that are made meanwhile are zeros where they would be drawn at random: whoever copies a layer gives it
    others, and drawing them takes longer than anything else."""
    held = [(each, each.__call__) for each in _drawing()]
    for each, _ in held:
        each.__call__ = _zeros
    try:
        yield
    finally:
        for each, call in held:
            each.__call__ = call


@cache
def _drawing() -> tuple[Any, ...]:
    """Keras' initializers that draw, but for those that inherit how."""
    kinds = [each for each in vars(keras.initializers).values() if isinstance(each, type)]
    drawing = keras.initializers.RandomNormal.__mro__[1]
    return tuple(each for each in dict.fromkeys(kinds) if issubclass(each, drawing) and "__call__" in vars(each))


def _zeros(initializer: Any, shape: Any, dtype: Any = None) -> Any:
    return keras.ops.zeros(shape, dtype=keras.backend.standardize_dtype(dtype))


def like_lambda(layer: keras.layers.Lambda, name: str) -> keras.layers.Lambda:
    """A new Lambda layer of the same function: its config would hold the function's bytecode."""
    return keras.layers.Lambda(
        layer.function, output_shape=layer._output_shape, mask=layer.mask, arguments=layer.arguments, name=name,
        dtype=layer.dtype_policy,
    )  # fmt: skip
