"""The process in which tfmot runs: `python child.py REQUEST.json`, with tf_keras in place of Keras.

It builds the plan, proves that it computes what the Keras 3 network does, and does the one task of the request. On
standard output it tells how far it is, one JSON list a line; what came of it is in the request's `answer` file.
"""

import json
import sys
import traceback
from importlib import import_module
from pathlib import Path

import numpy as np

sys.path[:] = sys.path[1:]  # this folder: its modules are ours under their full names only
_TASKS = {
    "prove": None,
    "qat": "tfeff.compress.tfmot.qat_child",
    "stock": "tfeff.compress.tfmot.stock_child",
    "prune": "tfeff.compress.tfmot.compress_child",
    "cluster": "tfeff.compress.tfmot.compress_child",
}


class Unequal(Exception):
    """The network was rebuilt, and computes something else."""


def main(request: dict) -> int:
    """Does the tasks of a request, up to the first that fails, or all of them; leaves what came of each in the answer
    file."""
    answers, code = [], 0
    for task in request["tasks"]:
        try:
            answers.append(_do(task))
        except Exception as error:  # TensorFlow and tfmot raise whatever they like
            traceback.print_exc()
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            text = " | ".join(lines)[:1000] or type(error).__name__
            answers.append({"error": text, "kind": type(error).__name__})
            code = 1
            if not request["keep_going"]:
                break
    Path(request["answer"]).write_text(json.dumps(answers))
    return code


def _do(task):
    from tfeff.compress.tfmot.tf_keras_graph import build

    with np.load(task["weights"]) as archive:
        model = build(task["plan"], {key: archive[key] for key in archive.files})
    found = {"relative_error": _prove(model, task)}
    if module := _TASKS[task["task"]]:
        found |= getattr(import_module(module), task["task"])(model, task, tell)
    return found


def tell(step: str, done: int, total: int) -> None:
    """Says how far a step is."""
    print(json.dumps([step, done, total]), flush=True)


def _prove(model, request):
    """The largest difference to the Keras 3 network over the largest output, on real images."""
    images, expected = np.load(request["proof_images"]), np.load(request["proof_outputs"])
    outputs = np.concatenate([np.asarray(model(images[i : i + 8], training=False)) for i in range(0, len(images), 8)])
    error = float(np.abs(outputs.reshape(expected.shape) - expected).max())
    relative = error / max(float(np.abs(expected).max()), 1e-12)
    if not relative <= request["tolerance"]:
        raise Unequal(f"{relative:.1e} of the largest output, {request['tolerance']:.0e} is rounding")
    return relative


if __name__ == "__main__":
    code = main(json.loads(Path(sys.argv[1]).read_text()))
    sys.stdout.flush()
    sys.exit(code)
