"""The parent's side of tfmot: a plan goes to a process in which tf_keras stands in Keras' place."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from signal import Signals
from typing import Any

import numpy as np

from tfeff.compress.tfmot.plan import Plan
from tfeff.errors import TfeffError
from tfeff.export.context import Progress, no_progress

TOLERANCE = 1e-5  # of the largest output: two Keras call the same kernels, but not in quite the same order


def check_installed() -> None:
    """Raises TfeffError where tfmot is not installed."""
    if find_spec("tensorflow_model_optimization") is None or find_spec("tf_keras") is None:
        raise TfeffError("tensorflow-model-optimization is not installed", "pip install 'tfeff[tfmot]'")


@dataclass(frozen=True)
class Task:
    """Something to do with a network in tf_keras.

    Attributes:
        name: a key of the child's tasks.
        plan: what `draw` made of `model`, nothing refused.
        model: the Keras 3 network.
        proof: float32 (n, h, w, c), real images, preprocessed: the rebuilt network must compute on them what `model`
            does.
        request: what the task needs; arrays are handed on as files.
    """

    name: str
    plan: Plan
    model: Any
    proof: np.ndarray
    request: dict[str, Any] = field(default_factory=dict)


def run(task: Task, folder: Path, progress: Progress = no_progress) -> dict[str, Any]:
    """Rebuilds a network in tf_keras, proves it, and does the task; see `run_all`."""
    (answer,) = run_all([task], folder, progress)
    return answer


def run_all(
    tasks: Sequence[Task],
    folder: Path,
    progress: Progress = no_progress,
    *,
    keep_going: bool = False,
) -> list[dict[str, Any]]:
    """Does tasks one after the other in one process, which ends with its memory.

    Args:
        folder: a scratch folder.
        progress: called with (step, done, total).
        keep_going: whether a task that fails gets an answer with its `error`, in place of an end.

    Returns:
        An answer each; its `relative_error` is that of the proof.

    Raises:
        TfeffError: tfmot is not installed, a rebuilt network computes something else, or a task failed.
    """
    check_installed()
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    requests = [_request(task, folder, number) for number, task in enumerate(tasks)]
    request = folder / "request.json"
    request.write_text(json.dumps({"answer": str(answer), "tasks": requests, "keep_going": keep_going}))
    code, last = _child(request, progress)
    if not answer.is_file():
        why = f"signal {Signals(-code).name}" if code < 0 else f"exit {code}"
        raise TfeffError(
            f"tfmot's process died ({why}): {' | '.join(last)[:500]}", "see that there is memory left, then retry"
        )
    answers = json.loads(answer.read_text())
    if keep_going or code == 0:
        return answers
    name, failed = tasks[len(answers) - 1].plan.name, answers[-1]
    if failed["kind"] == "Unequal":
        raise TfeffError(
            f"{name}: tf_keras computes something else: {failed['error']}",
            "see whether the network is trained, and its images preprocessed as it expects; else report it",
        )
    raise TfeffError(f"tfmot refused {name}: {failed['error']}")


def _request(task, folder, number):
    """What the child is told of a task; arrays go into files."""
    batches = (task.proof[i : i + 8] for i in range(0, len(task.proof), 8))
    expected = np.concatenate([np.asarray(task.model(batch, training=False)) for batch in batches])
    request = {**task.request, "proof_images": task.proof, "proof_outputs": expected}
    for key, value in request.items():
        if isinstance(value, np.ndarray):
            path = getattr(value, "filename", None)  # of a memory map: it lies in a file already
            if path is None or not str(path).endswith(".npy"):
                path = folder / f"{number}.{key}.npy"
                np.save(path, value)
            request[key] = str(path)
        elif isinstance(value, Path):
            request[key] = str(value)
    weights = folder / f"{number}.weights.npz"
    task.plan.save_weights(weights)
    return {**request, "task": task.name, "plan": task.plan.as_dict(), "weights": str(weights), "tolerance": TOLERANCE}


def _child(request: Path, progress: Progress):
    """Runs the child to its end; its exit code and its last lines of stderr."""
    # tfmot sets the variable itself, but after TensorFlow has chosen its Keras.
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("child.py")), str(request)]
    errors = request.with_name("stderr.txt")
    with errors.open("w") as stderr:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
        try:
            for line in child.stdout or ():
                try:
                    step, done, total = json.loads(line)
                except (ValueError, TypeError):  # what a library has to say
                    continue
                progress(step, done, total)
            child.wait()
        except BaseException:
            child.kill()
            child.wait()
            raise
    lines = errors.read_text(errors="replace").splitlines()
    return child.returncode, [line for line in lines if line.strip()][-3:]
