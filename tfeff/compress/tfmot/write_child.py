"""From a fake-quantized tf_keras network to an int8 file. For the child's process only."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tensorflow as tf

from tfeff.data import InputPort
from tfeff.export.quantize.convert import write_saved_model


def write_int8(model: Any, port: InputPort, output: str, path: Path, io: str) -> None:
    """Converts by the ranges in the graph alone, without any images.

    Args:
        model: fake-quantized, (n, h, w, c) -> logits.
        port: the image.
        output: name of the scores.
        path: the `.tflite` to write: signature `serving_default` with these names.
        io: dtype of input and output: int8 or uint8.
    """
    with TemporaryDirectory(dir=path.parent) as folder:
        write_saved_model(lambda image: model(image, training=False), Path(folder) / "network", [port], [output])
        converter = tf.lite.TFLiteConverter.from_saved_model(str(Path(folder) / "network"))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = getattr(tf, io)
        path.write_bytes(converter.convert())
