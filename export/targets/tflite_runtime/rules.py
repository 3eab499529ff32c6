"""tflite-runtime 2.14 on a CPU: what it has kernels for."""

from tfeff.export.targets.common.op_versions import TFLITE_RUNTIME_2_14
from tfeff.export.targets.common.runtimes import FILE, Runtime, dynamic_notes, judge
from tfeff.export.targets.common.verdict import MAPPED, Problem, Verdict, verdicts
from tfeff.tflite.graph import Graph

TARGET = "tflite-runtime"
_NAME = "tflite-runtime 2.14"
_NEWEST = (2, 14, 0)
_MEND = f"run it in LiteRT (`tfeff check {FILE} --target litert`), or `tfeff export MODEL --target tflite-runtime`"
_RUNTIME = Runtime(_NAME, TFLITE_RUNTIME_2_14, _MEND)


def check(graph: Graph) -> Verdict:
    """What tflite-runtime 2.14 runs of a file."""
    problems = ()
    if tuple(int(part) for part in graph.min_runtime_version.split(".") if part.isdigit()) > _NEWEST:
        problems = (Problem(f"the file needs runtime {graph.min_runtime_version}, {_NAME} is older", _MEND),)
    return Verdict(TARGET, "predicted", verdicts(graph.all_operations, _judge), problems, notes=dynamic_notes(graph))


def _judge(op):
    status, reason, mend = judge(op, _RUNTIME)
    if status != MAPPED or op.name != "CONV_2D":
        return status, reason, mend
    image, kernel = op.inputs[:2]
    if image.dtype in ("INT8", "UINT8") and image.shape[3] != kernel.shape[3]:
        return (
            status,
            "an int8 group convolution runs in the reference kernel, many times slower",
            "`export --target tflite-runtime` splits it",
        )
    return status, reason, mend
