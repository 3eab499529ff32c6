"""Float `.tflite` files to be rebuilt: converted from Keras models and functions, and run beside what was rebuilt."""

from pathlib import Path

import keras
import numpy as np

from tfeff.export.rebuild.network import rebuild_network
from tfeff.export.rebuild.reading import read_float_file
from tfeff.export.rebuild.running import FileModel


def converted(model, path, *, float16=False):
    """The file that TensorFlow's converter makes of a Keras model; the path."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if float16:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    path.write_bytes(converter.convert())
    return path


def traced(function, path, **shapes):
    """The file that the converter makes of a function of tensors, by name; a shape may be (shape, dtype)."""
    import tensorflow as tf

    specs = {name: tf.TensorSpec(*(shape if isinstance(shape[-1], str) else (shape, "float32")), name=name)
             for name, shape in shapes.items()}  # fmt: skip
    module = tf.Module()
    module.serve = tf.function(function, input_signature=[*specs.values()])
    concrete = module.serve.get_concrete_function()
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert())
    return path


def inputs_for(file, count=3, seed=0):
    """Noise for a file's inputs; pixels where it takes those, 0 and 1 where it takes whole numbers."""
    random, given = np.random.default_rng(seed), []
    for tensor in file.inputs.values():
        shape = (count, *tensor.shape[1:])
        if tensor.index in file.pixels:
            given.append(random.integers(0, 256, shape).astype(np.float32))
        elif tensor.dtype == "FLOAT32":
            given.append(random.standard_normal(shape).astype(np.float32))
        else:
            given.append(random.integers(0, 2, shape).astype(tensor.dtype.lower()))
    return given


def rebuilt(path, **options):
    """(file, Keras model, the largest difference of each output to LiteRT's over its largest value).

    A whole number that differs is a difference of 1.
    """
    file = read_float_file(Path(path), **options)
    model = rebuild_network(file)
    given = inputs_for(file)
    wanted = FileModel(file)(given)
    made = keras.tree.flatten(model(given[0] if len(given) == 1 else given, training=False))
    apart = {}
    for name, one, other in zip(file.outputs, made, wanted, strict=True):
        one = np.asarray(one)
        assert one.shape == other.shape, name
        assert one.dtype == other.dtype, name
        difference = np.abs(one.astype(np.float64) - other.astype(np.float64)).max(initial=0)
        scale = np.abs(other).max(initial=0) if other.dtype.kind == "f" else 1
        apart[name] = float(difference / max(float(scale), 1e-12))
    return file, model, apart
