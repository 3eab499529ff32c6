"""The converter's process: a request a line on stdin, an answer a line on stdout. Of ours it imports the file format
alone."""

import json
import os
import sys
from pathlib import Path
from typing import ClassVar

# Beside this file, which is run by its path.
from memory import give_back
from mends import with_dead_outputs, with_integer_arg_max, without_dead_outputs
from shared_ranges import share_ranges

_INTEGER_KERNELS = {
    "int8": "TFLITE_BUILTINS_INT8",
    "int16x8": "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8",
}


def main() -> int:
    """Does what each line of stdin asks, and answers with a line: {"error": null, or why not}."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what TensorFlow prints is no answer
    import tensorflow  # noqa: F401, while the parent has other things to do

    for line in sys.stdin:
        answers.write(json.dumps({"error": _do(json.loads(line))}) + "\n")
        answers.flush()
    return 0


def _do(request):
    """Does the jobs of a request; the reason if one fails."""
    try:
        for job in request["jobs"]:
            size = Path(job["path"]).write_bytes(_convert(job, job["calibration"] or request["calibration"]))
            give_back(size)
    except Exception as error:  # the converter raises whatever it likes
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return " | ".join(lines)[:1000] or type(error).__name__
    return None


def _convert(job, calibration):
    if job["step"] == "quantize":
        return _quantize(Path(job["saved_model"]).read_bytes(), job)
    import numpy as np
    import tensorflow as tf

    _leave_unloaded(job["saved_model"])
    converter = tf.lite.TFLiteConverter.from_saved_model(job["saved_model"])
    precision = job["precision"]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision in _INTEGER_KERNELS:
        samples = {name: np.load(path, mmap_mode="r") for name, path in calibration.items()}
        count = 1 if job["step"] == "calibrate" else min(map(len, samples.values()))
        converter.representative_dataset = lambda: (
            {name: np.asarray(values[number])[None] for name, values in samples.items()} for number in range(count)
        )
        # The plain builtins stand behind the integer ones so that an operation without an integer kernel stays in
        # float, where the float check finds and names it, instead of the converter giving up on the first.
        ops = tf.lite.OpsSet
        converter.target_spec.supported_ops = [getattr(ops, _INTEGER_KERNELS[precision]), ops.TFLITE_BUILTINS]
        converter.inference_input_type = converter.inference_output_type = getattr(tf, job["io"])
    if precision != "int8":
        return converter.convert()
    # In two steps, what `convert` does in one, to have a word between measuring ranges and quantizing by them.
    converter._experimental_calibrate_only = True
    calibrated = converter.convert()
    return calibrated if job["step"] == "calibrate" else _quantize(calibrated, job)


def _leave_unloaded(folder):
    """Has the converter take a SavedModel of ours, whose only signature is known, as it lies on disk: it would load it
    three times over for its signatures, its graph and where in Python each operation was made, and reads the file
    itself in the end. Where this TensorFlow has other parts, it loads."""
    from tensorflow.core.framework import graph_debug_info_pb2
    from tensorflow.lite.python import lite
    from tensorflow.python.saved_model import loader_impl

    if not (Path(folder) / "saved_model.pb").is_file():
        raise FileNotFoundError(f"no SavedModel in {folder}")
    whole, base = getattr(lite, "_load", None), getattr(lite, "TFLiteConverterBaseV2", None)
    if whole is None or not hasattr(base, "_load_saved_model"):
        return

    class Unloaded:
        signatures: ClassVar = {"serving_default": None}
        graph_debug_info = graph_debug_info_pb2.GraphDebugInfo()

    def graph_of(self, saved_model_dir, tags):
        return loader_impl.parse_saved_model(saved_model_dir).meta_graphs[0].graph_def, [], []

    lite._load = lambda *given, **options: Unloaded
    base._load_saved_model = graph_of


def _quantize(calibrated, job):
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    door = getattr(tf, job["io"])
    ranged, dead = with_dead_outputs(share_ranges(calibrated))
    quantized = mlir_quantize(
        ranged,
        disable_per_channel=not job["per_channel"],
        disable_per_channel_for_dense_layers=not job["per_channel"],
        denylisted_nodes=set(job["kept"]) or None,
        input_data_type=door,
        output_data_type=door,
    )
    return with_integer_arg_max(without_dead_outputs(quantized, dead))


if __name__ == "__main__":
    sys.exit(main())
