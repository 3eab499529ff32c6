"""LiteRT asked about a file: what it cannot load is not mapped, whatever rules say of its operations.

It loads and allocates the file, and runs it once on zeros, in a process of its own, with a limit of time and memory.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from tfeff.errors import TfeffError
from tfeff.export.targets.common.runtimes import FILE, is_compiled
from tfeff.export.targets.common.verdict import MAPPED, REFUSED, Problem, Verdict
from tfeff.runtime import open_isolated, runtime_version
from tfeff.tflite.file import MOST_BYTES, Subgraph, TfliteFile, bytes_of
from tfeff.tflite.graph import Graph
from tfeff.tflite.part import PartOptions, input_names, open_sizes, refuse_open, take_part

_MOST_ENTRIES = 64
_GUESSES = (224, 32, 1)  # for sizes that a file leaves open and the user did not say


def ask_litert(verdict: Verdict, graph: Graph, data: bytes, path: Path) -> Verdict:
    """The verdict of `litert` on a file, after LiteRT has been asked.

    Where it loads every part, what rules did not know is mapped; where it does not, nothing is, unless rules have
    already told which operation is to blame.

    Args:
        verdict: from the rules.
        graph, data: of the file that is judged.
        path: what messages call it.

    Raises:
        TfeffError: the file leaves sizes open, and LiteRT takes none of those that were tried.
    """
    if any(is_compiled(op) for op in graph.all_operations):
        return verdict
    name = f"LiteRT {runtime_version()}"
    refusals = list(_refusals(data, path, name))
    if not refusals:
        operations = tuple(
            replace(op, status=MAPPED, reason=f"{name} registers it", mend="") if op.status == REFUSED else op
            for op in verdict.operations
        )
        said = f"{name} loads and allocates it here"
        return replace(verdict, basis="confirmed", operations=operations, notes=(*verdict.notes, said))
    if not verdict.ok:
        return replace(verdict, notes=(*verdict.notes, *(problem.reason for problem in refusals)))
    return replace(verdict, basis="confirmed", problems=(*verdict.problems, *refusals))


def _refusals(data: bytes, path: Path, name: str) -> Iterator[Problem]:
    """What LiteRT says of each part that it does not load."""
    file = TfliteFile(data, path)
    entries = {
        one.subgraphIndex: (one.signatureKey or b"").decode(errors="replace") for one in file.model.signatureDefs or ()
    }
    if len(entries) > _MOST_ENTRIES:
        mend = f"`tfeff check {FILE} --target litert --signature NAME` for each that you use"
        yield Problem(f"it has {len(entries):,} signatures, of which {name} is asked {_MOST_ENTRIES} at most", mend)
        return
    for signature in list(entries.values()) if len(entries) > 1 else [None]:
        part = take_part(data, path, PartOptions(signature), may_be_open=True).data
        where = "" if signature is None else f" (signature {signature[:80]})"
        if refused := _refused(part, path):
            reason, mend = refused
            yield Problem(f"{name} does not load it{where}: {reason}", mend)


def _refused(data: bytes, path: Path) -> tuple[str, str] | None:
    """(reason, mend); None where it is loaded. Of open sizes those count with which it is."""
    file = TfliteFile(data, path)
    names = input_names(file)
    for guess in _GUESSES if open_sizes(file) else (0,):
        sizes = {tensor: _with(file, tensor, guess) for tensor in file.inputs} if guess else {}
        if any(bytes_of(file.dtype(tensor), shape) > MOST_BYTES for tensor, shape in sizes.items()):
            continue
        shapes = {names[tensor]: shape for tensor, shape in sizes.items()}
        try:
            _try(take_part(data, path, PartOptions(None, shapes)).data, path)
            return None
        except TfeffError as error:  # it died
            return error.what.removeprefix(f"{path}: "), error.mend
        except (RuntimeError, ValueError) as error:
            if not guess:
                mend = "`pip install -U ai-edge-litert` if the file is newer than it, else convert it anew"
                return " ".join(str(error).split())[:300], mend
    refuse_open(file, path)
    return None


def _try(data: bytes, path: Path) -> None:
    """Loads a file and runs it once on zeros: some kill LiteRT only then.

    A refusal to run is none of the file: zeros may be no input of it, or another signature must run first.
    """
    opened = open_isolated(data, str(path))
    if all(port.dtype.kind in "biufc" for port in opened.inputs):
        with suppress(RuntimeError, ValueError):
            opened.run([[np.zeros(port.shape, port.dtype) for port in opened.inputs]])


def _with(file: Subgraph, tensor: int, guess: int) -> tuple[int, ...]:
    signature = file.shape_signature(tensor)
    open_only = [place for place, size in enumerate(signature) if size < 0]
    batch = open_only[0] == 0 and len(signature) > 1 if open_only else False
    return tuple(
        (1 if place == 0 and batch else guess) if size < 0 else size
        for place, size in enumerate(signature or file.shape(tensor))
    )
