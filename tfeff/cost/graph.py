"""A Keras model as a flat list of calls, nested models opened."""

from dataclasses import dataclass
from typing import Any

import keras

from tfeff.layers.keras_private import has_graph, inside, nodes


@dataclass(frozen=True)
class Call:
    """One call of a layer or of a Keras operation; a shared layer is called several times.

    Attributes:
        operation: the layer.
        name: its name, after those of the models it is nested in: `backbone/conv1`.
        inputs, outputs: shapes, batch first, None where open.
        producers: places in the list of the calls whose results it reads; none for the model's own inputs.
    """

    operation: Any
    name: str
    inputs: tuple[tuple[Any, ...], ...]
    outputs: tuple[tuple[Any, ...], ...]
    producers: tuple[int, ...]

    @property
    def type(self) -> str:
        return type(self.operation).__name__


def calls(model: keras.Model) -> list[Call]:
    """Every call in a functional graph, each after those whose results it reads.

    Raises:
        ValueError: a model without a graph, itself or nested.
    """
    found: list[Call] = []
    _walk(model, "", [()] * len(getattr(model, "inputs", None) or ()), found)
    return found


def _walk(model, prefix, sources, found):
    """Appends the calls of `model` to `found`.

    Args:
        sources: for each input of the model, the places of the calls that it comes from.

    Returns:
        The same for its outputs.
    """
    graph = inside(model)
    if not has_graph(graph):
        raise ValueError(f"model {model.name!r} has no graph to count; build it functionally, with its input shape")
    made = {id(tensor): source for tensor, source in zip(graph.inputs, sources, strict=True)}
    for node in nodes(graph):
        operation, read = node.operation, [made[id(tensor)] for tensor in node.inputs]
        if isinstance(operation, keras.Model):
            results = _walk(operation, f"{prefix}{operation.name}/", read, found)
        else:
            inputs, outputs = (tuple(tuple(tensor.shape) for tensor in side) for side in (node.inputs, node.outputs))
            producers = tuple(sorted({place for places in read for place in places}))
            found.append(Call(operation, prefix + operation.name, inputs, outputs, producers))
            results = [(len(found) - 1,)] * len(node.outputs)
        made.update({id(tensor): source for tensor, source in zip(node.outputs, results, strict=True)})
    return [made[id(tensor)] for tensor in graph.outputs]
