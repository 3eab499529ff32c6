"""Gates: operations left in float, what the target refuses, and the limits that the user gave."""

from collections.abc import Collection, Sequence

from tfeff.errors import GateFailed
from tfeff.export.context import ExportContext
from tfeff.export.quantize.allowed import FENCES, is_allowed
from tfeff.export.targets.common.verdict import Verdict
from tfeff.record import words
from tfeff.record.schema import Accuracy, Check, Latency, Quantization
from tfeff.tflite.graph import Graph

_SHOWN = 5  # float operations


def gate_operations(context: ExportContext, graph: Graph, allowed: Collection[str] = ()) -> Verdict:
    """No float operation in an integer file but those that were let through, and nothing that makes the target refuse
    it whole.

    Args:
        allowed: names of tensors that a float operation may write, besides those that `--allow-float` names.

    Raises:
        GateFailed: there is; nothing is written then.
    """
    precision, target = context.precision, context.target
    if precision.integer and (left := _left_in_float(graph, context.request.allow_float, allowed)):
        left.sort(key=lambda op: op.name in ("QUANTIZE", "DEQUANTIZE"))  # the cause first, its fence last
        more = f"; and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        raise GateFailed(
            f"--{precision.name} left {len(left)} of {len(graph.operations)} operations in float: "
            f"{'; '.join(op.label for op in left[:_SHOWN])}{more}",
            "replace these layers by ones that quantize, let them stay in float with --allow-float OP, or export "
            "--float16; nothing was written",
        )
    verdict = target.check(graph)
    if verdict.problems:
        reasons = "; ".join(problem.reason for problem in verdict.problems)
        mends = "; ".join(dict.fromkeys(problem.mend for problem in verdict.problems if problem.mend))
        raise GateFailed(
            f"target {target.name} would not run this file: {reasons}", f"{mends}; nothing was written".lstrip("; ")
        )
    return verdict


def _left_in_float(graph, words, allowed):
    """Operations in float that nobody let through; where all that compute were, their fences are too."""

    def is_let(op):
        tensor = op.outputs[0].name
        return tensor in allowed or any(is_allowed(word, op.name, tensor) for word in words)

    left = [op for op in graph.float_operations() if not is_let(op)]
    return left if any(op.name not in FENCES for op in left) or not (words or allowed) else []


def unproven(precision: str, quantization: Quantization | None) -> str | None:
    """What of an int8 file is not what was simulated; None where all is, and for other precisions."""
    if precision != "int8":
        return None
    proof = quantization.simulation if quantization is not None else None
    return words.unproven(proof) if proof is not None else "there is no simulation of this file to compare it with"


def missed_gates(
    context: ExportContext,
    accuracy: Sequence[Accuracy],
    quantization: Quantization | None,
    latency: Sequence[Latency],
    check: Check,
) -> list[str]:
    """One line for each gate that was not met."""
    request, target = context.request, context.target
    missed = []
    allowed = request.max_drop
    for entry in accuracy:
        if allowed is not None and entry.drop > allowed:
            kept = quantization.kept_float if quantization is not None else None
            why = f"; {kept.refused}" if kept is not None and kept.refused else ""
            missed.append(f"{words.drop(entry)}, --max-drop allows {allowed:g}{why}")
    if request.strict and (apart := unproven(context.precision.name, quantization)):
        missed.append(f"--strict: {apart}")
    if request.max_latency_ms is not None:
        missed += [
            f"{entry.median_ms:.3f} ms on {entry.device}, --max-latency-ms allows {request.max_latency_ms:g}"
            for entry in latency
            if entry.median_ms > request.max_latency_ms
        ]
    if target.whole and not check.ok:
        missed.append(
            f"{target.name} takes {check.mapped} of {check.total} operations ({check.basis}); "
            f"the first that it does not: {check.first_break}"
        )
    return missed
