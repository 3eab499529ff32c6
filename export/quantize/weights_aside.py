"""Weights kept out of the way while TensorFlow saves a frozen network.

Frozen, the weights are constants of a graph, and TensorFlow holds each graph, the functions made of it and what it
writes as protocol buffers at once: a network of 100 MB took 1.4 GB. So each large constant is put aside and one number
stands in its place, all the way to the file; there the weights are put back. The file is what it would have been.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

_LEAST = 2**16  # bytes of a constant that is put aside
_FIRST = 2.0**100  # number of the first: float32 holds this times whole numbers up to 2**24, and no weight is as large


_collected: ContextVar[list[bytes] | None] = ContextVar("constants put aside", default=None)


@contextmanager
def put_aside() -> Iterator[list[bytes]]:
    """While it lasts, `constant` puts large ones aside: into the list that it gives."""
    aside: list[bytes] = []
    token = _collected.set(aside)
    try:
        yield aside
    finally:
        _collected.reset(token)


def constant(values: np.ndarray) -> Any:
    """A tensor of these values for a network that is traced; a number of its own stands for a large one where it is put
    aside."""
    import tensorflow as tf

    aside = _collected.get()
    if aside is None or values.dtype != np.float32 or values.nbytes < _LEAST or tf.executing_eagerly():
        return tf.convert_to_tensor(values)
    aside.append(values.tobytes())
    return tf.constant(_FIRST * len(aside), tf.float32, values.shape)


def frozen_graph(function: Any, aside: list[bytes]) -> tuple[Any, list[Any]]:
    """The graph of a traced function with its variables as constants, and those of the function's inputs that are left;
    the large constants' values go behind those that are aside.

    The same as TensorFlow's `convert_variables_to_constants_v2`, whose parts it calls; where this TensorFlow has no
    such parts, it is called itself.
    """
    from tensorflow.python.framework import convert_to_constants as parts

    try:
        converter, replace = parts._FunctionConverterDataInEager, parts._replace_variables_by_constants
    except AttributeError:
        frozen, graph = parts.convert_variables_to_constants_v2_as_graph(function)
        left = {tensor.name for tensor in frozen.inputs}
    else:
        graph, converted = replace(converter(func=function, lower_control_flow=True, aggressive_inlining=False))
        captured = function.graph.internal_captures
        left = {tensor.name for tensor in function.inputs} - {captured[index].name for index in converted}
    _take_out(graph, aside)
    return graph, [tensor for tensor in function.inputs if tensor.name in left]


def _take_out(graph: Any, aside: list[bytes]) -> None:
    """Takes large constants out of a GraphDef; a number of their own stands for each."""
    from tensorflow.python.framework import dtypes

    for node in graph.node:
        if node.op != "Const":
            continue
        tensor = node.attr["value"].tensor
        if tensor.dtype == dtypes.float32.as_datatype_enum and len(tensor.tensor_content) >= _LEAST:
            aside.append(tensor.tensor_content)
            tensor.ClearField("tensor_content")
            tensor.float_val.append(_FIRST * len(aside))


def put_back(saved: Any, aside: list[bytes]) -> None:
    """Gives a SavedModel (the message) the constants that were put aside."""
    if not aside:
        return
    for meta in saved.meta_graphs:
        graph = meta.graph_def
        for node in (*graph.node, *(each for function in graph.library.function for each in function.node_def)):
            if node.op != "Const":
                continue
            tensor = node.attr["value"].tensor
            number = tensor.float_val[0] / _FIRST if len(tensor.float_val) == 1 else 0
            if number >= 1 and not tensor.tensor_content and tensor.tensor_shape.dim:
                tensor.ClearField("float_val")
                tensor.tensor_content = aside[int(number) - 1]
