"""Runs one .tflite file in one runtime and says how long each invocation took.

This file is started by its path under any Python (3.7 or newer) and needs the standard library, NumPy and one runtime
(`ai_edge_litert`, else `tflite_runtime`), nothing of tfeff. It answers JSON lines on stdout to JSON lines on stdin;
each request and reply is one object. Times are in nanoseconds.

    {"command": "hello"}                                             -> environment
    {"command": "load", "path": P, "threads": N, "xnnpack": true, "seed": S, "core": C or null,
     "delegate": {"library": L, "options": {}} or null}              -> sha256, inputs, outputs, kernels, pinned
    {"command": "run", "count": N}                                   -> times_ns, N of them
    {"command": "outputs", "inputs": [{name, dtype, shape, base64}]} -> outputs: the same of every output, in file order
    {"command": "count", "count": N}                                 -> {} after N marked nothings and N invocations
    {"command": "quit"}                                              -> {} and the process ends

Inputs and outputs are called by their names in the signature `serving_default`, else by those of their tensors. An
input's bytes are in C order.

An empty L is the Edge TPU's library, which the environment variable EDGETPU_LIBRARY may name.

The marks are for an emulator that counts instructions (`count_instructions.c`); elsewhere they do nothing.

A failed request is answered {"error": KIND, "message": TEXT}; KIND is numpy, runtime, model, request, delegate library
or delegate device. End of stdin ends the process, so that it cannot outlive the one who started it.
"""

import base64
import collections
import gc
import hashlib
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from typing import Any

RUNTIMES = ("ai_edge_litert", "tflite_runtime")
SIGNATURE = "serving_default"
MARK = 0x54464546  # as in count_instructions.c
EDGETPU_LIBRARIES = {"darwin": "libedgetpu.1.dylib", "win32": "edgetpu.dll"}  # elsewhere libedgetpu.so.1


class Failure(Exception):
    """What a failed request is answered with."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def read_text(path):
    """The text of a small system file; empty where the system has none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0 \n")
    except OSError:
        return ""


def cpu_model():
    """The processor's name, from whatever place this system keeps it in."""
    fields: dict[str, str] = {}
    for line in read_text("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    for name in ("model name", "hardware", "model"):  # x86; Android and older ARM; Raspberry Pi
        if fields.get(name) and not fields[name].isdigit():
            return fields[name]
    board = read_text("/proc/device-tree/model")
    if board:
        return board
    if sys.platform == "darwin":
        try:
            return subprocess.check_output(["sysctl", "-n", "machdep.cpu.brand_string"]).decode().strip()
        except (OSError, subprocess.CalledProcessError):
            pass
    return platform.processor() or platform.machine()


def fast_cores():
    """Numbers of the cores that this process may use; of unequal ones (big.LITTLE) those with the highest capacity."""
    if not hasattr(os, "sched_setaffinity"):
        return []
    capacity = {}
    for core in sorted(os.sched_getaffinity(0)):
        folder = f"/sys/devices/system/cpu/cpu{core}/"
        text = read_text(folder + "cpu_capacity") or read_text(folder + "cpufreq/cpuinfo_max_freq")
        capacity[core] = int(text) if text.isdigit() else 0
    return [core for core in capacity if capacity[core] == max(capacity.values())]


def load_average():
    """Mean number of runnable processes over the last minute; None where the system does not count them."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def import_runtime():
    """The first runtime that imports: name, version, its `interpreter` module."""
    reasons = []
    for name in RUNTIMES:
        try:
            package = importlib.import_module(name)
            module = importlib.import_module(name + ".interpreter")
        except Exception as error:
            if getattr(error, "name", None) != name:  # installed but broken: most often built for another NumPy
                reasons.append(f"{name} cannot be imported: {type(error).__name__}: {error}")
            continue
        return name.replace("_", "-"), str(getattr(package, "__version__", "unknown")), module
    raise Failure("runtime", "; ".join(reasons))


def delegation(ops, delegate="DELEGATE"):
    """Which of a graph's own operations a delegate took.

    A runtime lists the nodes of the file, then one node for each region that a delegate took; such a node's inputs and
    outputs bound its region. What lies on the way back from its outputs to its inputs was taken, all else was not.

    Args:
        ops: one dict a node, as `_get_ops_details()` gives them: `op_name`, `inputs`, `outputs` (tensor indices).

    Returns:
        `xnnpack` ("all", "partly" or "none"), `delegated`, `total` (operations), `left` (what stays with the runtime's
        own kernels, most frequent first: `op`, `count`).
    """
    own = [op for op in ops if op["op_name"] != delegate]
    producer = {int(tensor): number for number, op in enumerate(own) for tensor in op["outputs"]}
    taken = set()
    for region in (op for op in ops if op["op_name"] == delegate):
        stop = {int(tensor) for tensor in region["inputs"]}
        ahead = [int(tensor) for tensor in region["outputs"]]
        while ahead:
            tensor = ahead.pop()
            if tensor in stop or tensor not in producer or producer[tensor] in taken:
                continue
            taken.add(producer[tensor])
            ahead.extend(int(source) for source in own[producer[tensor]]["inputs"])
    counts = collections.Counter(op["op_name"] for number, op in enumerate(own) if number not in taken)
    word = "none" if not taken else "partly" if counts else "all"
    left = [{"op": op, "count": count} for op, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    return {"xnnpack": word, "delegated": len(taken), "total": len(own), "left": left}


def load_delegate(module, library, options):
    """What the runtime loads out of a library with TensorFlow Lite's plugin interface; without one, the Edge TPU's."""
    library = library or os.environ.get("EDGETPU_LIBRARY") or EDGETPU_LIBRARIES.get(sys.platform, "libedgetpu.so.1")
    try:  # asked first: a runtime may crash without it
        importlib.import_module("ctypes").CDLL(library).tflite_plugin_create_delegate  # noqa: B018
    except (ImportError, OSError, AttributeError) as error:
        raise Failure("delegate library", f"its library {library} cannot be loaded ({error})") from error
    try:
        return module.load_delegate(library, options)
    except (ValueError, RuntimeError) as error:
        device, said = options.get("device"), " ".join(str(error).split())
        which = " " + repr(device) if device else ""
        raise Failure("delegate device", f"no device{which} can be opened by {library} ({said})") from error


def kernels_of(interpreter):
    """`delegation` of a loaded model; "unknown" where the runtime does not list its nodes."""
    try:
        return delegation(interpreter._get_ops_details())
    except Exception:  # a private method: it may lack or change
        return {"xnnpack": "unknown", "delegated": None, "total": None, "left": []}


def random_values(numpy, random, shape, dtype, quantized):
    """Values for one input: floats standard normal, quantized integers over their full range, others 0 or 1.

    What is not quantized may be an index (numbers of words, a mask): 0 and 1 are in range almost everywhere. An 8-bit
    one is taken for pixels. None for a type that cannot be filled, such as text.
    """
    dtype = numpy.dtype(dtype)
    if dtype.kind == "f":
        return numpy.asarray(random.standard_normal(tuple(shape))).astype(dtype)
    low, high = 0, 2
    if dtype.kind in "iu" and (dtype.itemsize == 1 or (quantized and dtype.itemsize == 2)):
        low, high = int(numpy.iinfo(dtype).min), int(numpy.iinfo(dtype).max) + 1
    if dtype.kind in "iub":
        return numpy.asarray(random.randint(low, high, size=tuple(shape))).astype(dtype)
    return None


def ports(interpreter, side, numpy):
    """The inputs or outputs (`side`) of a loaded model, in the order of the file.

    Returns:
        The tensors' numbers, and a dict each: `name`, `shape`, `dtype`, `scale` and `zero_point` (0.0 and 0 where its
        numbers are not quantized).
    """
    details = getattr(interpreter, f"get_{side}_details")()
    tensors = [int(detail["index"]) for detail in details]
    names, found = signature_names(interpreter, side, set(tensors)), {}
    for tensor, detail in zip(tensors, details):  # noqa: B905
        known = names.get(tensor)
        plain = name = known.pop(0) if known else str(detail["name"])
        number = 1
        while name in found:  # tensors may share a name
            number += 1
            name = f"{plain} ({number})"
        parameters = detail.get("quantization_parameters") or {}
        scales, points = parameters.get("scales", ()), parameters.get("zero_points", ())
        one = len(scales) == len(points) == 1
        found[name] = {
            "name": name,
            "shape": [int(size) for size in detail["shape"]],
            "dtype": numpy.dtype(detail["dtype"]).name,
            "scale": float(scales[0]) if one else 0.0,
            "zero_point": int(points[0]) if one else 0,
        }
    return tensors, list(found.values())


def signature_names(interpreter, side, indices):
    """Tensor -> its names in the signature `serving_default`; none without one, or where it is another subgraph's."""
    names: dict[int, list[str]] = {}
    try:
        if SIGNATURE in interpreter.get_signature_list():
            runner = interpreter.get_signature_runner(SIGNATURE)
            for name, detail in sorted(getattr(runner, f"get_{side}_details")().items()):
                names.setdefault(int(detail["index"]), []).append(str(name))
    except Exception:  # older runtimes lack some of it
        return {}
    return names if set(names) == indices else {}


class Worker:
    """The state behind the commands: one model in one interpreter."""

    def __init__(self):
        self.numpy: Any = None
        self.interpreter: Any = None
        self.inputs, self.results, self.timing_input = [], [], []  # ports, ports, values
        self.tensors: dict[str, list[int]] = {}  # their numbers, for the interpreter

    def hello(self, request):
        try:
            self.numpy = importlib.import_module("numpy")
        except Exception as error:
            raise Failure("numpy", f"{type(error).__name__}: {error}") from error
        runtime, version, self.module = import_runtime()
        return {
            "runtime": runtime,
            "version": version,
            "python": platform.python_version(),
            "numpy": self.numpy.__version__,
            "os": f"{platform.system()} {platform.release()}",
            "machine": platform.machine(),
            "cpu": cpu_model(),
            # That this process may use: a container or taskset may leave fewer than the machine has.
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "fast_cores": fast_cores(),
            "governor": read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None,
            "load_average": load_average(),
        }

    def load(self, request):
        if self.numpy is None:
            raise Failure("request", "say hello before load")
        pinned = request.get("core") is not None
        if pinned:
            os.sched_setaffinity(0, {request["core"]})
        options = {"num_threads": request["threads"]}
        if not request["xnnpack"]:
            if not hasattr(self.module, "OpResolverType"):
                raise Failure("request", "this runtime is too old to be told to leave XNNPACK out")
            options["experimental_op_resolver_type"] = self.module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        if request.get("delegate"):
            options["experimental_delegates"] = [load_delegate(self.module, **request["delegate"])]
        try:
            with open(request["path"], "rb") as file:
                sha256 = hashlib.sha256(file.read()).hexdigest()
            self.interpreter = self.module.Interpreter(model_path=request["path"], **options)
            self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError, OSError) as error:
            raise Failure("model", str(error)) from error
        self.tensors["input"], self.inputs = ports(self.interpreter, "input", self.numpy)
        self.tensors["output"], self.results = ports(self.interpreter, "output", self.numpy)
        self.timing_input = self.drawn(self.numpy.random.RandomState(request["seed"]))
        self.set_inputs(self.timing_input)
        return {
            "sha256": sha256,
            "inputs": self.inputs,
            "outputs": self.results,
            # Beside the Edge TPU, XNNPACK may take parts too; the runtime does not say whose a node is.
            "kernels": kernels_of(None if "experimental_delegates" in options else self.interpreter),
            "pinned": pinned,
        }

    def drawn(self, random):
        """Values for every input, in the order of the file."""
        drawn = []
        for port in self.inputs:
            drawn.append(random_values(self.numpy, random, port["shape"], port["dtype"], port["scale"] > 0))
            if drawn[-1] is None:
                raise Failure("model", "input {name}: type {dtype} cannot be filled with random values".format(**port))
        return drawn

    def set_inputs(self, values):
        for tensor, one in zip(self.tensors["input"], values):  # noqa: B905
            self.interpreter.set_tensor(tensor, one)

    def loaded(self):
        if self.interpreter is None:
            raise Failure("request", "load a model first")
        return self.interpreter

    def invoke(self):
        try:
            self.interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise Failure("model", str(error)) from error

    def run(self, request):
        invoke, clock = self.loaded().invoke, time.perf_counter_ns
        times = [0] * request["count"]
        gc.disable()  # a collection inside a timed invocation would be ours, not the model's
        try:
            for number in range(request["count"]):
                start = clock()
                invoke()
                times[number] = clock() - start
        except (ValueError, RuntimeError) as error:
            raise Failure("model", str(error)) from error
        finally:
            gc.enable()
        return {"times_ns": times}

    def count(self, request):
        """Invocations between two system calls that mean nothing to a kernel but are seen by an emulator."""
        try:
            mark = importlib.import_module("ctypes").CDLL(None).prctl
        except (ImportError, OSError, AttributeError, TypeError) as error:
            raise Failure("request", "only Linux has the marks") from error
        gc.disable()
        try:
            for action in (int, self.loaded().invoke):  # int() does next to nothing: what the marks themselves take
                for _ in range(request["count"]):
                    mark(MARK, 0, 0, 0, 0)
                    action()
                    mark(MARK, 1, 0, 0, 0)
        except (ValueError, RuntimeError) as error:
            raise Failure("model", str(error)) from error
        finally:
            gc.enable()
        return {}

    def outputs(self, request):
        interpreter, numpy = self.loaded(), self.numpy
        given = {one["name"]: one for one in request["inputs"]}
        said = "{name} {shape} {dtype}".format
        wanted, held = (", ".join(said(**one) for one in ports) for ports in (self.inputs, request["inputs"]))
        if {said(**one) for one in self.inputs} != {said(**one) for one in request["inputs"]}:
            raise Failure("request", f"the model wants {wanted}; given is {held or 'nothing'}")
        values, answer = [], []
        for port in self.inputs:
            flat = numpy.frombuffer(base64.b64decode(given[port["name"]]["base64"]), port["dtype"])
            values.append(flat.reshape(port["shape"]))
        try:
            self.set_inputs(values)
            self.invoke()
            for port, tensor in zip(self.results, self.tensors["output"]):  # noqa: B905
                found = numpy.asarray(interpreter.get_tensor(tensor))
                answer.append({"name": port["name"], "dtype": found.dtype.name, "shape": list(found.shape)})
                answer[-1]["base64"] = base64.b64encode(found.tobytes()).decode("ascii")
        finally:
            self.set_inputs(self.timing_input)
        return {"outputs": answer}


def main():
    # The protocol keeps the real stdout to itself; what a runtime prints there goes to stderr.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Our own folder is no place to look for modules that NumPy or a runtime asks for.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) != here]
    worker = Worker()
    commands = {"hello": worker.hello, "load": worker.load, "run": worker.run, "count": worker.count}
    commands["outputs"] = worker.outputs
    for line in iter(sys.stdin.readline, ""):
        try:
            request = json.loads(line)
            if request["command"] == "quit":
                break
            reply = commands[request["command"]](request)
        except Failure as failure:
            reply = {"error": failure.kind, "message": str(failure)}
        except (KeyError, TypeError, ValueError) as error:
            reply = {"error": "request", "message": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
