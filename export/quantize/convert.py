"""The parent's side of conversion: freeze the network into a SavedModel, hand it to a child process, read the
answer."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfeff.data import InputPort
from tfeff.errors import GateFailed, TfeffError
from tfeff.export.model import named_outputs
from tfeff.export.quantize import graph_file
from tfeff.export.quantize.memory import give_back
from tfeff.export.quantize.weights_aside import frozen_graph, put_aside, put_back

_INTEGER = ("int8", "int16x8")
_LOOPS = ("While", "StatelessWhile", "LoopCond")  # the last is what freezing makes of the others
_VALID = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.-]*$")  # a node of a TensorFlow graph


@dataclass(frozen=True)
class Job:
    """One file to make.

    Attributes:
        saved_model: folder that `write_saved_model` wrote.
        precision: a name of `recipes.PRECISIONS`.
        io: dtype of input and output.
        path: the `.tflite` to write.
        calibration: samples of its own, {input: `.npy` (n, ...)}; None is those of all jobs.
        step: "whole"; or one half of it, for int8 with ranges of our own: "calibrate" leaves a float file with a range
            at every tensor that is to be quantized (the converter's, by the first sample: a place to write to);
            "quantize" takes such a file as `saved_model`.
        per_channel: of int8, whether weights have a scale an output channel or one in all.
        kept: of the step "quantize", names of tensors whose operation stays in float.
    """

    saved_model: str
    precision: str
    io: str
    path: str
    calibration: Mapping[str, Path] | None = None
    step: str = "whole"
    per_channel: bool = True
    kept: tuple[str, ...] = ()


def write_saved_model(
    network: Callable[..., Any], folder: Path, inputs: Sequence[InputPort], outputs: Sequence[str]
) -> None:
    """Freezes a network with a static batch of 1: signature `serving_default` with these names.

    Args:
        network: a Keras model, or anything that maps a tensor (1, ...), or a list of them where it has several inputs,
            to its outputs; see `export.model.named_outputs`. A Keras model is called as `predict` calls it.
        folder: to write.
        inputs: its ports, in its order.
        outputs: the names of its outputs.

    Raises:
        TfeffError: a name that no signature can have.
    """
    options = {"training": False} if hasattr(network, "layers") else {}

    def call(values):
        return named_outputs(network(values[0] if len(values) == 1 else values, **options), outputs)

    freeze(call, folder, inputs)


def freeze(network: Callable[[list[Any]], Mapping[str, Any]], folder: Path, inputs: Sequence[InputPort]) -> None:
    """`write_saved_model` of what maps a list of tensors to others by name.

    The weights become constants: no variable is left for the converter to mishandle, and the same network gives the
    same bytes.
    """
    if wrong := [port.name for port in inputs if not _VALID.match(port.name)]:
        raise TfeffError(
            f"the input {wrong[0]!r} cannot be called so in a file",
            "rename it: a letter or digit, then letters, digits and . _ -",
        )
    with put_aside() as aside:
        size, saved = _saved(network, inputs, aside)
    put_back(saved, aside)
    aside.clear()
    graph_file.write(saved, folder)
    del saved
    give_back(size)


def _saved(network, inputs, aside):
    """Bytes of all constants of the frozen network, and its SavedModel without those that are put `aside`."""
    import tensorflow as tf

    def call(*values):
        return dict(network(list(values)))

    signature = [tf.TensorSpec((1, *port.shape), port.dtype, name=port.name) for port in inputs]
    # As Keras traces what it exports: to translate all that a network calls takes a third of the time of a small one.
    function = tf.function(call, input_signature=signature, autograph=False).get_concrete_function()
    graph, doors = frozen_graph(function, aside)
    if tables := [tensor.name for tensor in doors if tensor.dtype == tf.resource]:
        where = tables[0].rpartition("/")[0] or tables[0]
        raise TfeffError(
            f"the network looks values up in a table, which cannot become constants: {where}",
            "look them up before they are given to the network (in the app), and export what comes behind",
        )
    return _bytes_of(function), graph_file.saved_model(graph, doors, _outputs(function))


def _outputs(function):
    """The tensors of a traced function's outputs by name; those of the function itself are others."""
    return dict(zip(sorted(function.structured_outputs), function.outputs, strict=True))


def _bytes_of(function):
    """Of the variables and constants that a traced function holds."""
    constants = [op.outputs[0] for op in function.graph.get_operations() if op.type == "Const"]
    held = [*function.variables, *constants]
    return sum((each.shape.num_elements() or 0) * each.dtype.size for each in held)


def refuse_loops(saved_model: Path, precision: str) -> None:
    """Raises GateFailed for a network with a loop (WHILE): no integer file can hold its body."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = saved_model / "saved_model.pb"
    if not path.is_file():
        return  # the converter says so
    model = saved_model_pb2.SavedModel()
    model.ParseFromString(path.read_bytes())
    graph = model.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    if loops := sorted({node.name.partition("/LoopCond")[0] for node in nodes if node.op in _LOOPS}):
        raise GateFailed(
            f"--{precision} would leave WHILE in float: {', '.join(loops[:3])}",
            "give a recurrent layer unroll=True and a known number of steps (up to 128 are unrolled here), or export "
            "--float16; nothing was written",
        )


class Converter:
    """The child process, started once and given jobs until it is closed: to start it takes longer than most jobs.

    Use it in a `with` block; it starts with `start` or the first jobs, and ends with its memory.
    """

    def __init__(self, folder: Path):
        """`folder`: a scratch folder."""
        self._folder = folder
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self) -> None:
        """Ends the process."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()  # between jobs it has nothing to lose
            child.wait()
            for pipe in (child.stdin, child.stdout):
                with suppress(BrokenPipeError):  # a request that it died before reading is still in the pipe
                    if pipe is not None:
                        pipe.close()

    def convert(self, jobs: Sequence[Job], calibration: Mapping[str, Path] | None = None) -> None:
        """Does the jobs.

        Args:
            calibration: {input: `.npy` (n, ...)}, for the precisions that need it and jobs that have none of their own.

        Raises:
            GateFailed: a network with a loop is to be quantized, of which the converter's quantizer dies.
            TfeffError: the converter refused the network, or died.
        """
        for job in jobs:
            if job.precision in _INTEGER and job.step != "quantize":
                refuse_loops(Path(job.saved_model), job.precision)
        child = self._started()
        own = None if calibration is None else dict(calibration)
        request = {"jobs": [asdict(job) for job in jobs], "calibration": own}
        try:
            child.stdin.write(json.dumps(request, default=str) + "\n")  # paths as text
            child.stdin.flush()
            answer = child.stdout.readline()
        except BrokenPipeError:
            answer = ""
        except BaseException:
            self.close()
            raise
        if not answer.endswith("\n"):
            self._died()
        if error := json.loads(answer)["error"]:
            raise TfeffError(f"the converter refused the network: {error}")

    def start(self) -> None:
        """Starts the process, if it does not run yet; it makes itself ready in the background."""
        self._started()

    def _started(self):
        if self._child is not None:
            return self._child
        # By its path: with -m, a folder named tfeff where the user happens to stand would be taken for the package.
        command = [sys.executable, str(Path(__file__).with_name("converter_child.py"))]
        # Each large block by itself, so that it goes back to the system when it is freed.
        lean = {"MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "1048576", "MALLOC_ARENA_MAX": "2"}
        # Into a file: a pipe that nobody reads while a job runs would stop it once it is full.
        with (self._folder / "converter.log").open("wb") as log:
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, errors="replace",
                env={**lean, **os.environ},
            )  # fmt: skip
        return self._child

    def _died(self) -> None:
        assert self._child is not None
        code = self._child.wait()
        self.close()
        why = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
        stderr = (self._folder / "converter.log").read_text(errors="replace")
        last = [line for line in stderr.splitlines() if line.strip()][-3:]
        raise TfeffError(
            f"the converter died ({why}): {' | '.join(last)[:500]}", "see that there is memory left, then retry"
        )


def convert(jobs: Sequence[Job], calibration: Mapping[str, Path] | None, folder: Path) -> None:
    """Runs jobs in a child process of their own; see `Converter.convert`.

    Args:
        folder: a scratch folder.
    """
    with Converter(folder) as converter:
        converter.convert(jobs, calibration)


# Of TensorFlow: which kernels, and on how many threads their sums are split.
SETTINGS = ("TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


def environment_versions() -> dict[str, str]:
    """Versions of everything that has a say in the file's bytes; settings of TensorFlow's kernels and threads too, for
    they change roundings, and by them ranges."""
    from importlib.metadata import version
    from platform import python_version

    packages = ("tfeff", "tensorflow", "keras", "ai-edge-litert", "numpy")
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "python": python_version(),
        **{name: version(name) for name in packages},
        "system": os.uname().machine,
        "processors": str(processors),
        **{name: os.environ.get(name, "default") for name in SETTINGS},
    }
