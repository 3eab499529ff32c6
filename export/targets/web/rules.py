"""LiteRT.js in a browser, on WebAssembly: LiteRT's operations behind a door that JavaScript can open."""

from dataclasses import replace
from pathlib import Path

from tfeff.export.targets.common.asking import ask_litert
from tfeff.export.targets.common.verdict import Problem, Verdict
from tfeff.export.targets.litert import rules as litert
from tfeff.tflite.graph import Graph

TARGET = "web"
_DOOR = ("FLOAT32", "INT32", "UINT8")  # the typed arrays that @litertjs/core 2.5.3 knows


def check(graph: Graph) -> Verdict:
    """What LiteRT.js runs of a file: operations as LiteRT does, inputs and outputs of float32 (int32, uint8).

    `@litertjs/core` 2.5.3 refused int8 at the door ("Element type INT8 is not supported") and ran a full-int8 network
    behind float input and output, in Chromium. Its operations are taken to be those of LiteRT 2.3, which is older.
    """
    verdict = litert.check(graph)
    problems = [
        Problem(
            f"LiteRT.js takes no {tensor.dtype.lower()} {side} ({tensor.name[:80]!r})",
            "`export --target web` keeps float32 at the door and int8 inside",
        )
        for side, tensors in (("input", graph.inputs), ("output", graph.outputs))
        for tensor in tensors
        if tensor.dtype not in _DOOR
    ]
    return replace(verdict, target=TARGET, problems=tuple(problems))


def ask(verdict: Verdict, graph: Graph, data: bytes, path: Path) -> Verdict:
    """LiteRT of this machine asked in place of a browser's: what it does not load, no browser does."""
    return replace(ask_litert(verdict, graph, data, path), basis=verdict.basis)
