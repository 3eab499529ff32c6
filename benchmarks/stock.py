"""The stock converter: what its guide says to do with a network, without any of tfeff's ways."""

from pathlib import Path

# Rewrites without which there is no stock file: no converter takes a kernel that is computed from a weight.
FROZEN = ("freeze_shift",)


def stock_int8(saved_model: Path, images, io: str, path: Path) -> None:
    """Writes an int8 `.tflite` file as TensorFlow's guide says: Optimize.DEFAULT, integer kernels only.

    Args:
        saved_model: a folder that `quantize.write_saved_model` wrote (static batch).
        images: of the calibration, float32 (n, h, w, c).
        io: dtype of input and output.
        path: the file to write.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = getattr(tf, io)
    path.write_bytes(converter.convert())
