"""Runs `.tflite` files for somebody else's process, so that a file that kills LiteRT kills this one only.

Started by its path; needs NumPy and ai-edge-litert, nothing of tfeff. A message is a frame on stdin or stdout: the
length of its head (4 bytes, little endian), the head in JSON, then the bytes of the arrays that the head lists as
`arrays` (dtype and shape each), one after the other. Every request is answered by one frame.

    {"do": "load", "number": N, "threads": T, "delegate": {"library": L, "options": {}} or null} + the file, uint8
                                                              -> inputs, outputs (what LiteRT says of them), runtime
    {"do": "run", "number": N, "samples": K, "inputs": [tensors], "outputs": [tensors], "fresh": B} + K values an input
                                                              -> K values an output
    {"do": "shapes", "number": N}                             -> shapes: {tensor: sizes}
    {"do": "drop", "number": N}                               -> {}

What LiteRT refuses is answered {"error": TEXT}, with "delegate": true where it is the delegate that was; TEXT
may be empty. The end of stdin ends the process.
"""

import json
import os
import struct
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, BinaryIO

_PIPE_BYTES = 2**20


def read_exactly(stream: BinaryIO, into: memoryview) -> None:
    """Fills a buffer; EOFError where the stream ends before."""
    done = 0
    while done < len(into):
        got = stream.readinto(into[done:])  # type: ignore[attr-defined]
        if not got:
            raise EOFError
        done += got


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], list[Any]]:
    """(head, arrays); EOFError at the end of the stream."""
    import numpy as np

    length = bytearray(4)
    read_exactly(stream, memoryview(length))
    head = bytearray(struct.unpack("<I", length)[0])
    read_exactly(stream, memoryview(head))
    told, arrays = json.loads(head), []
    for dtype, shape in told["arrays"]:
        array = np.empty(shape, dtype)
        if array.size:
            read_exactly(stream, array.reshape(-1).view(np.uint8).data)
        arrays.append(array)
    return told, arrays


def write_frame(stream: BinaryIO, told: dict[str, Any], arrays: list[Any]) -> None:
    """The counterpart of `read_frame`."""
    import numpy as np

    listed = [(array.dtype.name, list(array.shape)) for array in arrays]
    head = json.dumps({**told, "arrays": listed}).encode()
    stream.write(struct.pack("<I", len(head)) + head)
    for array in arrays:
        stream.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    stream.flush()


class LoadedFile:
    """A file in an interpreter, ready to run.

    Attributes:
        told: `inputs` and `outputs` as LiteRT lists them.
    """

    def __init__(self, data: bytes, threads: int, delegates: list[Any] | None = None) -> None:
        """ValueError or RuntimeError where LiteRT refuses the file."""
        self._data, self._threads, self._delegates = data, threads, delegates
        self._open()
        self.told = {
            side: [_told(detail) for detail in getattr(self._interpreter, f"get_{side[:-1]}_details")()]
            for side in ("inputs", "outputs")
        }

    def _open(self):
        from ai_edge_litert import interpreter as runtime  # asked for each time: tests put another in its place

        options = {"experimental_delegates": self._delegates} if self._delegates else {}
        self._interpreter = runtime.Interpreter(model_content=self._data, num_threads=self._threads, **options)
        self._interpreter.allocate_tensors()

    def run(
        self, inputs: Sequence[int], outputs: Sequence[int], values: Sequence[Any], fresh: bool = False
    ) -> list[Any]:
        """Outputs of one sample, copies; what the file keeps from run to run is as at its first run.

        Args:
            inputs, outputs: numbers of tensors.
            values: an array an input.
            fresh: whether only a new interpreter forgets what the file keeps (variables by handle).
        """
        if fresh:
            self._open()
        interpreter = self._interpreter
        interpreter.reset_all_variables()
        for tensor, value in zip(inputs, values):  # noqa: B905
            interpreter.set_tensor(tensor, value)
        interpreter.invoke()
        return [interpreter.get_tensor(tensor) for tensor in outputs]

    def shapes(self) -> dict[str, list[int]]:
        """Shapes of the tensors as they are allocated, by number; those that LiteRT made for itself come last."""
        return {str(one["index"]): [int(n) for n in one["shape"]] for one in self._interpreter.get_tensor_details()}


def _told(detail):
    """What LiteRT says of a port, as JSON has it."""
    import numpy as np

    parameters = detail["quantization_parameters"]
    return {
        "name": str(detail["name"]),
        "index": int(detail["index"]),
        "shape": [int(size) for size in detail["shape"]],
        "shape_signature": [int(size) for size in detail["shape_signature"]],
        "dtype": np.dtype(detail["dtype"]).name,
        "scales": [float(scale) for scale in parameters["scales"]],
        "zero_points": [int(point) for point in parameters["zero_points"]],
    }


class _Worker:
    def __init__(self):
        self._files: dict[int, LoadedFile] = {}

    def load(self, told, arrays):
        delegate, delegates = told["delegate"], None
        if delegate:
            from ai_edge_litert.interpreter import load_delegate

            try:
                delegates = [load_delegate(delegate["library"], delegate["options"])]
            except (ValueError, RuntimeError) as error:
                return {"error": str(error), "delegate": True}, []
        self._files[told["number"]] = file = LoadedFile(arrays[0].tobytes(), told["threads"], delegates)
        return file.told, []

    def run(self, told, arrays):
        file, count, found = self._files[told["number"]], len(told["inputs"]), []
        for sample in range(told["samples"]):
            values = arrays[sample * count : (sample + 1) * count]
            found += file.run(told["inputs"], told["outputs"], values, told["fresh"])
        return {}, found

    def shapes(self, told, arrays):
        return {"shapes": self._files[told["number"]].shapes()}, []

    def drop(self, told, arrays):
        self._files.pop(told["number"], None)
        return {}, []


def _limit(memory_bytes: int) -> None:
    """No core files, and no more memory than that."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    except (ImportError, OSError, ValueError):
        pass  # not every system has them


def _watch(parent: int) -> None:
    """Ends this process when the one that started it is gone, though a file may run for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main() -> None:
    """`worker.py MEMORY_BYTES`"""
    # The protocol keeps the real stdin and stdout to itself; what a runtime prints goes to stderr.
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", _PIPE_BYTES)
    os.dup2(2, 1)
    # Our own folder is no place to look for modules that NumPy or the runtime asks for.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder or ".") != here]
    _limit(int(sys.argv[1]))
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    worker = _Worker()
    does = {"load": worker.load, "run": worker.run, "shapes": worker.shapes, "drop": worker.drop}
    while True:
        try:
            told, arrays = read_frame(requests)
        except EOFError:
            return
        try:
            answer, given = does[told["do"]](told, arrays)
            if any(array.dtype.hasobject or array.dtype.kind not in "biufc" for array in given):
                raise ValueError("an output is no array of numbers")
        except (ValueError, RuntimeError, MemoryError) as error:
            answer, given = {"error": str(error)}, []
        write_frame(replies, answer, given)


if __name__ == "__main__":
    main()
