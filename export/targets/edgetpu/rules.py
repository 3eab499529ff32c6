"""The Edge TPU, predicted: which operations its compiler (16.0) would map, why not the others, what is stranded.

The compiler alone knows; where it is installed, `tfeff.export.targets.edgetpu.compiler` asks it.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tfeff.export.targets.common.verdict import (
    CPU,
    MAPPED,
    REFUSED,
    STRANDED,
    OpVerdict,
    Problem,
    Verdict,
    require_int8,
    require_static,
)
from tfeff.export.targets.edgetpu.op_rules import TABLE, UNSURE, fence, is_grouped, refusal, unreadable
from tfeff.tflite.graph import Graph, Operation

TARGET = "edgetpu"
ON_CHIP_BYTES = int(7.7 * 2**20)  # compilers' logs show 7.6 to 7.9 MiB for parameters, by the size of the program
COMPILED = "CUSTOM edgetpu-custom-op"


def check(graph: Graph) -> Verdict:
    """What `edgetpu_compiler` would make of a file.

    Facts: `parameter_bytes` of the mapped operations, `on_chip_bytes` that hold them, `streamed_bytes` that do not fit
    and are sent on every inference, `min_edgetpu_runtime`, and `compiled` for a file that has been compiled.

    Raises:
        TfeffError: a file with a dynamic shape, or one that computes nothing in 8 bits.
    """
    require_static(graph, TARGET)
    require_int8(graph, TARGET)
    if any(op.name == COMPILED for op in graph.operations):
        return _compiled(graph)
    verdict = _judged(graph)
    if not graph.parts:
        return verdict
    others = [_judged(part) for part in graph.parts]
    operations = [op for each in (verdict, *others) for op in each.operations]
    problems = dict.fromkeys(problem for each in (verdict, *others) for problem in each.problems)
    said = "whether the compiler takes a file of several subgraphs is not known"
    return replace(verdict, operations=tuple(operations), problems=tuple(problems), notes=(*verdict.notes, said))


def _judged(graph):
    """The verdict on the operations of one subgraph."""
    too_new = _unreadable(graph)
    islands = graph.float_operations()
    refusals = [
        too_new.get(index) or (op in islands and fence(op)) or refusal(op) for index, op in enumerate(graph.operations)
    ]
    stranded = behind_the_first(graph.operations, [not found for found in refusals])
    operations = []
    for index, (op, found) in enumerate(zip(graph.operations, refusals, strict=True)):
        status, reason, mend = MAPPED, "", ""
        if found:
            status, (reason, mend) = REFUSED, found
        elif index in stranded:
            status, reason = STRANDED, "could run, but one Edge TPU part ends before it"
            mend = "mend what is refused before it"
        elif caveat := TABLE[op.name].caveat(op):
            reason = f"may stay on the CPU: {caveat}"
        operations.append(OpVerdict(index, op.name, op.version, op.label, status, reason, mend, op.subgraph))
    mapped = [graph.operations[op.index] for op in operations if op.status == MAPPED]
    parameters = graph.constant_bytes(mapped)
    facts = {
        "parameter_bytes": parameters,
        "on_chip_bytes": ON_CHIP_BYTES,
        "streamed_bytes": max(0, parameters - ON_CHIP_BYTES),
        "min_edgetpu_runtime": max((_runtime(op) for op in mapped), default=None),
        "compiled": False,
    }
    return Verdict(TARGET, "predicted", tuple(operations), _problems(graph, too_new), facts, _notes(graph, facts))


def confirm(path: Path) -> Verdict:
    """What `edgetpu_compiler` itself makes of a file; raises what `compile` of `compiler.py` does."""
    from tfeff.export.targets.edgetpu.compiler import compile

    with tempfile.TemporaryDirectory() as folder:
        return compile(path, Path(folder)).verdict


def behind_the_first(operations: Sequence[Operation], supported: Sequence[bool]) -> set[int]:
    """Places of operations that could be mapped but belong to no more than a second part.

    TFLite hands a delegate parts of the graph: from the operations whose inputs are there, all of one kind (supported
    or not) are taken for as long as there are any, then all of the other kind, and so on. The compiler keeps the first
    supported part.
    """
    missing = {tensor.index for op in operations for tensor in op.outputs}
    wants = [{tensor.index for tensor in op.inputs} & missing for op in operations]
    readers: dict[int, list[int]] = {}
    for place, tensors in enumerate(wants):
        for tensor in tensors:
            readers.setdefault(tensor, []).append(place)
    ready: dict[bool, list[int]] = {True: [], False: []}
    left = [len(tensors) for tensors in wants]
    for place, count in enumerate(left):
        if not count:
            ready[bool(supported[place])].append(place)
    kind = not ready[False] or bool(ready[True] and ready[True][0] < ready[False][0])
    parts, done, stranded = 0, set[int](), set[int]()
    while ready[True] or ready[False]:
        while ready[kind]:
            place = ready[kind].pop()
            done.add(place)
            if kind and parts:
                stranded.add(place)
            for tensor in {tensor.index for tensor in operations[place].outputs} & missing:
                missing.remove(tensor)
                for reader in readers.get(tensor, ()):
                    left[reader] -= 1
                    if not left[reader]:
                        ready[bool(supported[reader])].append(reader)
        parts += kind
        kind = not kind
    # In a graph out of order, nothing that waits can run.
    return stranded | {place for place in range(len(operations)) if place not in done and supported[place]}


def _unreadable(graph):
    """Place in the graph -> why the compiler could not read a file with that operation."""
    groups = any(is_grouped(op) for op in graph.operations)
    found = {index: unreadable(op, groups) for index, op in enumerate(graph.operations)}
    return {index: why for index, why in found.items() if why}


def _problems(graph, too_new):
    problems = {}
    for index, (reason, mend) in too_new.items():
        op = graph.operations[index]
        problems.setdefault(
            (op.name, reason), Problem(f"the compiler would refuse the whole file: {op.label} {reason}", mend)
        )
    if problems:
        return tuple(problems.values())
    if _version(graph) > (2, 6, 0):
        reason = f"the file asks for runtime {graph.min_runtime_version}, the compiler has about 2.5.0"
        return (Problem(reason, "convert it with `tfeff export --target edgetpu`"),)
    return ()


def _notes(graph, facts):
    notes = []
    unsure = sorted({f"{op.name} {op.version}" for op in graph.operations if UNSURE.get(op.name) == op.version})
    if unsure or (2, 5, 0) < _version(graph) <= (2, 6, 0):
        what = ", ".join(unsure) or f"the file, made for runtime {graph.min_runtime_version},"
        notes.append(f"whether the compiler reads {what} is not known: it came with TensorFlow 2.6")
    if facts["streamed_bytes"]:
        notes.append(
            f"parameters take {facts['parameter_bytes'] / 2**20:.2f} MiB, about 7.7 MiB fit on the chip: "
            f"{facts['streamed_bytes'] / 2**20:.2f} MiB are sent on every inference"
        )
    if any(
        op.name == "FULLY_CONNECTED" and len(op.inputs) > 1 and len(op.inputs[1].scales) > 1 for op in graph.operations
    ):
        notes.append(
            "FULLY_CONNECTED has one scale a channel; whether the compiler heeds them is not known "
            "(a 1x1 convolution before Flatten, as `export --target edgetpu` writes, is safe)"
        )
    return tuple(notes)


def _version(graph):
    return tuple(int(part) for part in graph.min_runtime_version.split(".") if part.isdigit())


def _runtime(op):
    dilated = op.name == "DEPTHWISE_CONV_2D" and op.options.get("dilation_h_factor", 1) > 1
    return 13 if dilated else TABLE[op.name].runtime


def _compiled(graph):
    operations = tuple(
        OpVerdict(index, op.name, op.version, op.label, MAPPED)
        if op.name == COMPILED
        else OpVerdict(
            index, op.name, op.version, op.label, CPU, "was left on the CPU when the file was compiled",
            "check the file that it was compiled from",
        )
        for index, op in enumerate(graph.operations)
    )  # fmt: skip
    return Verdict(TARGET, "predicted", operations, facts={"compiled": True})
