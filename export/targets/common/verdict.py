"""What a check says of a file: each operation, what is wrong with the file as a whole, and figures."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tfeff.errors import TfeffError
from tfeff.record import schema as record
from tfeff.tflite.graph import Graph, Operation

MAPPED, REFUSED, STRANDED, CPU = "mapped", "refused", "stranded", "cpu"
STATUSES = (MAPPED, REFUSED, STRANDED, CPU)


@dataclass(frozen=True)
class OpVerdict:
    """One operation.

    Attributes:
        index: its place in execution order; -1 where only a compiler's list of operations is known.
        name: TFLite's name of it.
        version: of the operation; 0 where it is not known.
        label: the name, and where its output belongs.
        status: "mapped" (the target runs it), "refused" (it cannot), "stranded" (it could, but what stands before it
            was refused) or "cpu" (left to the host's processor for a reason of the compiler's own).
        reason: why it is not mapped; of a mapped one, what to know about it. Empty where there is nothing to say.
        mend: what to do about it.
        subgraph: what its subgraph is called, in a file of several.
    """

    index: int
    name: str
    version: int
    label: str
    status: str
    reason: str = ""
    mend: str = ""
    subgraph: str = ""


@dataclass(frozen=True)
class Problem:
    """Why the file as a whole would not be taken, and what to do about it."""

    reason: str
    mend: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a target makes of a file.

    Attributes:
        target: its name.
        basis: "predicted" (from rules) or "confirmed" (the target's own compiler or runtime said so).
        operations: one entry an operation, in execution order.
        problems: of the file as a whole; with one of them no operation runs.
        facts: figures that JSON can hold, by name; bytes where the name says so.
        notes: what to know, though nothing is refused for it.
    """

    target: str
    basis: str
    operations: tuple[OpVerdict, ...]
    problems: tuple[Problem, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """How many operations there are."""
        return len(self.operations)

    @property
    def mapped(self) -> int:
        """How many of them the target runs; none where the file as a whole is refused."""
        return 0 if self.problems else sum(op.status == MAPPED for op in self.operations)

    @property
    def ok(self) -> bool:
        """Whether the file is taken and every operation mapped."""
        return not self.problems and self.mapped == self.total

    @property
    def first_break(self) -> OpVerdict | None:
        """The first operation that is not mapped for a reason of its own."""
        return next((op for op in self.operations if op.status in (REFUSED, CPU)), None)

    def rows(self) -> list[dict[str, Any]]:
        """Operations of a subgraph with the same name, status, reason and mend as one entry: `op`, `count`, `status`,
        `reason`, `mend`, `first` (label of the first of them), `subgraph`. What is not mapped comes first, in execution
        order."""
        groups: dict[tuple[str, ...], list[OpVerdict]] = {}
        for op in self.operations:
            groups.setdefault((op.name, op.status, op.reason, op.mend, op.subgraph), []).append(op)
        rows = [
            {
                "op": name,
                "count": len(members),
                "status": status,
                "reason": reason,
                "mend": mend,
                "first": members[0].label,
                "subgraph": subgraph or None,
            }
            for (name, status, reason, mend, subgraph), members in groups.items()
        ]
        return sorted(rows, key=lambda row: row["status"] == MAPPED)

    def record(self) -> record.Check:
        """The record's `check`."""
        broken = self.first_break
        return record.Check(
            target=self.target,
            basis=self.basis,
            ok=self.ok,
            mapped=self.mapped,
            total=self.total,
            problems=[record.Problem(reason=each.reason, mend=each.mend) for each in self.problems],
            first_break=None if broken is None else broken.label,
            operations=[record.CheckedOperation(**row) for row in self.rows()],
            facts=dict(self.facts),
            notes=list(self.notes),
        )

    def as_dict(self) -> dict[str, Any]:
        """`record` for JSON."""
        return msgspec.to_builtins(self.record())


def require_static(graph: Graph, target: str) -> None:
    """Raises TfeffError for a file with a tensor whose shape is known only when it runs."""
    for tensor in (*graph.inputs, *(t for op in graph.operations for t in op.outputs), *graph.outputs):
        if tensor.dynamic:
            shape = ", ".join("?" if n < 0 else str(n) for n in tensor.shape_signature)
            raise TfeffError(
                f"{target} needs shapes known in advance; {tensor.name[:80]!r} is ({shape})",
                "export with a fixed batch of 1, as `tfeff export` does (a converter takes it from an input signature)",
            )


def require_int8(graph: Graph, target: str) -> None:
    """Raises TfeffError for a file that computes nothing in 8 bits: float, float behind int8 weights, or int16."""
    computed = [t.dtype for op in graph.operations for t in (*op.inputs, *op.outputs) if not t.constant]
    if not computed or {"INT8", "UINT8"} & set(computed):
        return
    most = max(sorted(set(computed)), key=computed.count)
    raise TfeffError(
        f"{target} runs int8 files; this one computes in {most.lower()}",
        "export it with --int8 (static: weights and activations)",
    )


def verdicts(
    operations: Iterable[Operation], judge: Callable[[Operation], tuple[str, str, str]]
) -> tuple[OpVerdict, ...]:
    """One verdict an operation; `judge` returns (status, reason, mend) of one."""
    return tuple(
        OpVerdict(index, op.name, op.version, op.label, *judge(op), op.subgraph) for index, op in enumerate(operations)
    )
