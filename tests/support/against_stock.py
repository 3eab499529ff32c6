"""What TensorFlow's own converter makes of a Keras model and the same samples, and how far outputs are from Keras'."""

from collections.abc import Sequence

import keras
import numpy as np


def ratios(wanted: Sequence[np.ndarray], given: Sequence[np.ndarray]) -> list[float]:
    """SQNR in dB of each output; 300 where it is the same."""
    found = []
    for one, other in zip(wanted, given, strict=True):
        error = np.sum(np.square(one - np.reshape(other, one.shape), dtype=float))
        found.append(10 * np.log10(np.sum(np.square(one, dtype=float)) / error) if error else 300.0)
    return found


def stock_outputs(
    model: keras.Model, samples: Sequence[np.ndarray], held: Sequence[np.ndarray]
) -> list[np.ndarray] | None:
    """What each output of the stock converter's int8 file gives for what was held out.

    Args:
        samples: to calibrate with, (n, ...) by input in the model's order.
        held: likewise.

    Returns:
        In Keras' order of the outputs; None where the converter makes no file of the model, or one that leaves an
        output in float.
    """
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([each[k][None] for each in samples] for k in range(len(samples[0])))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    try:
        interpreter = Interpreter(model_content=converter.convert())
        runner = interpreter.get_signature_runner()
    except Exception:  # the converter raises whatever it likes
        return None
    doors, ends = runner.get_input_details(), sorted(runner.get_output_details().items())
    if any(end["dtype"] != np.int8 for _, end in ends):
        return None
    names, rows = [tensor.name for tensor in model.inputs], []
    for number in range(len(held[0])):
        rows.append(runner(**{name: _held(each[number][None], doors[name])
                              for name, each in zip(names, held, strict=True)}))  # fmt: skip
    return [
        np.concatenate([(row[name].astype(np.float32) - end["quantization"][1]) * end["quantization"][0]
                        for row in rows])
        for name, end in ends
    ]  # fmt: skip


def _held(values, door):
    """Numbers as an input of the file takes them."""
    if door["dtype"] != np.int8:
        return values
    scale, zero = door["quantization"]
    return np.clip(np.round(values / scale) + zero, -128, 127).astype(np.int8)
