"""What Ethos-U runs: predicted from the constraints that Vela publishes, confirmed by Vela itself.

What the NPU does not take, Vela leaves to the host's processor, wherever it stands, so nothing is ever stranded. The
rules are in `op_rules.py`.
"""

import tempfile
from pathlib import Path

from tfeff.export.targets.common.verdict import (
    CPU,
    MAPPED,
    OpVerdict,
    Problem,
    Verdict,
    require_int8,
    require_static,
    verdicts,
)
from tfeff.export.targets.ethos_u import compiler as vela
from tfeff.export.targets.ethos_u.op_rules import mend_of, refusal, remark
from tfeff.tflite.graph import Graph, read_graph

TARGET = "ethos-u"


def check(graph: Graph, accelerator: str = vela.DEFAULT_ACCELERATOR) -> Verdict:
    """What Vela would put on the NPU, by its published constraints.

    Args:
        graph: of the file.
        accelerator: U55 and U65 share one set of rules, U85 has another.

    Raises:
        TfeffError: an unknown accelerator, a float file, or one whose shapes are not fixed.
    """
    vela.check_accelerator(accelerator)
    problems = _problems(graph)
    if not problems:
        require_static(graph, TARGET)
        require_int8(graph, TARGET)
    u85 = accelerator.startswith("ethos-u85")

    def judge(op):
        reason, mend = refusal(op, u85)
        return (CPU, reason, mend) if reason else (MAPPED, remark(op), "")

    return Verdict(TARGET, "predicted", verdicts(graph.all_operations, judge), problems, _facts(graph, accelerator))


def confirm(path: Path, accelerator: str = vela.DEFAULT_ACCELERATOR) -> Verdict:
    """What Vela put on the NPU when it compiled the file; its estimates are among the facts.

    Raises:
        TfeffError: as `check`, or Vela is not there, or failed.
    """
    graph = read_graph(path)
    predicted = check(graph, accelerator)
    if predicted.problems:
        return predicted
    with tempfile.TemporaryDirectory(prefix="tfeff-vela-") as folder:
        compiled = vela.compile(path, Path(folder), accelerator)
    return confirmed(graph, predicted, compiled)


def confirmed(graph: Graph, predicted: Verdict, compiled: vela.Compiled) -> Verdict:
    """The verdict of a compilation that was made already.

    Args:
        graph: of the file that was compiled.
        predicted: what `check` said of it; its mends are taken over.
        compiled: what Vela made of it.
    """
    left = {(op.name, op.tensor): op.reason for op in compiled.on_cpu}
    operations = []
    for op, guess in zip(graph.all_operations, predicted.operations, strict=True):
        reason = left.pop((op.name, op.outputs[0].name), None) if op.outputs else None
        if reason is None and op.subgraph and guess.index >= len(graph.operations):
            operations.append(guess)  # of another subgraph, of which Vela's list need not tell
            continue
        status = MAPPED if reason is None else CPU
        mend = "" if reason is None else guess.mend or mend_of(op)
        said = (guess.reason if guess.status == MAPPED else "") if reason is None else reason
        operations.append(OpVerdict(guess.index, op.name, op.version, op.label, status, said, mend))
    # What Vela made itself and left on the CPU; none was ever seen.
    operations += [OpVerdict(-1, name, 0, f"{name} ({tensor[:80]})", CPU, why) for (name, tensor), why in left.items()]
    facts = {
        **_facts(graph, compiled.accelerator),
        "vela": compiled.version,
        "system_config": compiled.system_config,
        "memory_mode": compiled.memory_mode,
        "npu_operators": compiled.npu_operators,
        "cpu_operators": compiled.cpu_operators,
        "estimated_by": vela.ESTIMATED_BY,
        "estimates": dict(compiled.estimates),
    }
    return Verdict(TARGET, "confirmed", tuple(operations), (), facts)


def _facts(graph, accelerator):
    return {"accelerator": accelerator, "parameter_bytes": graph.constant_bytes()}


def _problems(graph):
    compiled = [op.name for op in graph.operations if op.name in (vela.OPERATOR, "CUSTOM edgetpu-custom-op")]
    mend = "check the file that it was compiled from"
    return tuple(Problem(f"the file is compiled already: it holds {name}", mend) for name in sorted(set(compiled)))
