"""The parent's side of tfmot: a plan goes to a process in which tf_keras stands in Keras' place, an answer comes back."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from signal import Signals
from typing import Any

import numpy as np
from tfeff.export.tfmot.plan import Plan

from tfeff.errors import TfeffError

TOLERANCE = 1e-5  # of the largest output: two Keras call the same kernels, but not in quite the same order
Progress = Callable[[str, int, int], None]


def check_installed() -> None:
    """Raises TfeffError where tfmot is not installed."""
    if find_spec("tensorflow_model_optimization") is None or find_spec("tf_keras") is None:
        raise TfeffError("tensorflow-model-optimization is not installed", "pip install 'tfeff[tfmot]'")


def run(
    task: str, plan: Plan, model, proof: np.ndarray, folder: Path, progress: Progress, **request: Any
) -> dict[str, Any]:
    """Rebuilds a plan in tf_keras, proves it, and does a task with it.

    Args:
        task: a key of the child's tasks.
        plan: what `draw` made of `model`, nothing refused.
        model: the Keras 3 network.
        proof: float32 (n, h, w, c), real images, preprocessed.
        folder: a scratch folder.
        progress: called with (step, done, total).
        request: what the task needs; arrays are handed on as files.

    Returns:
        The child's answer; `relative_error` is that of the proof.

    Raises:
        TfeffError: tfmot is not installed, the rebuilt network computes something else, or the task failed.
    """
    check_installed()
    expected = np.concatenate([np.asarray(model(proof[i : i + 8], training=False)) for i in range(0, len(proof), 8)])
    arrays = {key: value for key, value in request.items() if isinstance(value, np.ndarray)}
    arrays |= {"proof_images": proof, "proof_outputs": expected}
    for key, array in arrays.items():
        path = getattr(array, "filename", None)  # of a memory map: it lies in a file already
        if path is None or not str(path).endswith(".npy"):
            path = folder / f"{key}.npy"
            np.save(path, array)
        request[key] = str(path)
    plan.save_weights(folder / "plan.npz")
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    request |= {"task": task, "plan": plan.as_dict(), "weights": str(folder / "plan.npz"), "tolerance": TOLERANCE}
    request |= {"answer": str(answer)}
    (folder / "request.json").write_text(json.dumps(request))
    code, last = _child(folder / "request.json", progress)
    if answer.is_file():
        found = json.loads(answer.read_text())
        if code == 0:
            return found
        if found["kind"] == "Unequal":
            raise TfeffError(
                f"{plan.name}: tf_keras computes something else: {found['error']}",
                "see whether the network is trained, and its images preprocessed as it expects; else report it",
            )
        raise TfeffError(f"tfmot refused {plan.name}: {found['error']}")
    why = f"signal {Signals(-code).name}" if code < 0 else f"exit {code}"
    raise TfeffError(f"tfmot's process died ({why}): {' | '.join(last)[:500]}", "see that there is memory left")


def _child(request: Path, progress: Progress):
    """Runs the child to its end; its exit code and its last lines of stderr."""
    # tfmot sets the variable itself, but after TensorFlow has chosen its Keras.
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("child.py")), str(request)]
    errors = request.with_name("stderr.txt")
    with errors.open("w") as stderr:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
        try:
            for line in child.stdout:
                try:
                    step, done, total = json.loads(line)
                except ValueError:  # what a library has to say
                    continue
                progress(step, done, total)
            child.wait()
        except BaseException:
            child.kill()
            child.wait()
            raise
    lines = errors.read_text(errors="replace").splitlines()
    return child.returncode, [line for line in lines if line.strip()][-3:]
