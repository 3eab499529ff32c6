"""The part of a file that is looked at: one signature with what it calls, at sizes that the file leaves open.

Runtimes invoke a file's first subgraph at the sizes that it says. So a part is a file of its own: the chosen subgraph
is its first, and its inputs have the given sizes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfeff.errors import TfeffError
from tfeff.tflite.file import MOST_BYTES, Subgraph, TfliteFile, bytes_of, integers, pack

SERVING = "serving_default"
_CALLS = ("calledComputations", "branchSubgraphIndices")  # vectors of subgraphs; single ones end in "ubgraphIndex"


@dataclass(frozen=True)
class PartOptions:
    """What the user chose.

    Attributes:
        signature: a signature, or a subgraph by its name; None for the first subgraph, which runtimes run.
        shapes: sizes by input; "" for the only one.
    """

    signature: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def given(self) -> bool:
        return self.signature is not None or bool(self.shapes)


WHOLE = PartOptions()


@dataclass(frozen=True)
class Part:
    """A part as a file.

    Attributes:
        data: its bytes; the whole file's own where nothing was chosen.
        changed: whether they are others than the whole file's.
        said: what was chosen, and at which sizes; empty where nothing was.
    """

    data: bytes
    changed: bool = False
    said: str = ""


def take_part(data: bytes, path: Path, options: PartOptions, *, may_be_open: bool = False) -> Part:
    """The part of a file that is known to be whole.

    Args:
        data: its bytes.
        path: what messages call it.
        options: what was chosen.
        may_be_open: whether sizes may stay open.

    Raises:
        TfeffError: no such signature or input, a shape that the file's does not allow, or a size that stays open.
    """
    if not options.given:
        return Part(data)
    file = TfliteFile(data, path)
    number = 0 if options.signature is None else _chosen(file, path, options.signature)
    _keep(file, number, options.signature)
    part = Subgraph(file.model)
    _size(part, path, options.shapes)
    if not may_be_open:
        refuse_open(part, path)
    words = [f"signature {options.signature}"] if options.signature is not None else []
    if options.shapes:
        words += [f"{name} {_words(part.shape(tensor))}" for tensor, name in input_names(part).items()]
    return Part(bytes(pack(file.model)), True, ", ".join(words))


def open_sizes(file: Subgraph) -> list[int]:
    """Inputs with a size that is open, but for the batch, which is then 1."""
    found = []
    for tensor in file.inputs:
        signature = file.shape_signature(tensor)
        if any(size < 0 for size in (signature if len(signature) == 1 else signature[1:])):
            found.append(tensor)
    return found


def refuse_open(file: Subgraph, path: Path) -> None:
    """Raises TfeffError where an input of the file has an open size (`open_sizes`)."""
    names = input_names(file)
    for tensor in open_sizes(file):
        name, signature = names[tensor], file.shape_signature(tensor)
        said = ", ".join("?" if size < 0 else str(size) for size in signature)
        example = _words(tuple(_guess(place, size) for place, size in enumerate(signature)))
        raise TfeffError(
            f"{path}: its input {name[:80]} has the open shape ({said})",
            f"say a size: --input-shape {name[:80]}={example}",
        )


def open_batches(file: Subgraph) -> list[str]:
    """Names of the inputs whose batch alone is open, and run as 1."""
    return [
        name
        for tensor, name in input_names(file).items()
        if len(signature := file.shape_signature(tensor)) > 1 and signature[0] < 0 and min(signature[1:]) >= 0
    ]


def is_plain(data: bytes) -> bool:
    """Whether a whole file has one subgraph, one signature at most, and inputs of fixed sizes: told without unpacking
    it."""
    model = schema.Model.GetRootAs(data, 0)
    if model.SubgraphsLength() > 1 or model.SignatureDefsLength() > 1:
        return False
    if not model.SubgraphsLength():
        return True
    graph = model.Subgraphs(0)
    assert graph is not None
    for place in range(graph.InputsLength()):
        number = graph.Inputs(place)
        if not 0 <= number < graph.TensorsLength():
            return False
        tensor = graph.Tensors(number)
        if any(tensor.ShapeSignature(axis) < 0 for axis in range(tensor.ShapeSignatureLength())):
            return False
    return True


def input_names(file: Subgraph) -> dict[int, str]:
    """{tensor: name} of its inputs, by the signature where it has one."""
    named = {tensor: name for name, tensor in file.signature()[0].items()}
    return {tensor: named.get(tensor, file.name(tensor)) for tensor in file.inputs}


def parts_of(file: TfliteFile) -> list[str]:
    """What each subgraph is called, in the file's order: its signatures, else its own name, else its number."""
    names: dict[int, list[str]] = {}
    for signature in file.model.signatureDefs or ():
        names.setdefault(signature.subgraphIndex, []).append(_text(signature.signatureKey))
    return [
        ", ".join(names[number]) if number in names else _text(tree.name) or f"subgraph {number}"
        for number, tree in enumerate(file.model.subgraphs)
    ]


def _chosen(file: TfliteFile, path: Path, name: str) -> int:
    signatures = {_text(one.signatureKey): int(one.subgraphIndex) for one in file.model.signatureDefs or ()}
    own = {_text(tree.name): number for number, tree in enumerate(file.model.subgraphs)}
    if name in signatures or name in own:
        return signatures.get(name, own.get(name, 0))
    have = [*signatures, *(one for one in own if one and one not in signatures)]
    mend = f"choose one of {', '.join(one[:80] for one in have)}" if have else "leave --signature out"
    raise TfeffError(f"{path}: has no signature or subgraph {name!r}", mend)


def _keep(file: TfliteFile, first: int, signature: str | None) -> None:
    """Leaves the chosen subgraph, as the first, and those that it calls."""
    model, kept, ahead = file.model, [first], [first]
    while ahead:
        for options, name in _references(model.subgraphs[ahead.pop()]):
            for number in np.atleast_1d(getattr(options, name)).tolist():
                if 0 <= number < len(model.subgraphs) and number not in kept:
                    kept.append(number)
                    ahead.append(number)
    kept = [first, *sorted(set(kept) - {first})]
    places = {number: place for place, number in enumerate(kept)}
    for number in kept:
        for options, name in _references(model.subgraphs[number]):
            old = getattr(options, name)
            new = [places.get(one, one) for one in np.atleast_1d(old).tolist()]
            setattr(options, name, new[0] if isinstance(old, int) else new)
    mine = [one for one in model.signatureDefs or () if one.subgraphIndex == first]
    mine.sort(key=lambda one: _text(one.signatureKey) != (signature or SERVING))
    for one in mine[:1]:
        one.subgraphIndex, one.signatureKey = 0, SERVING.encode()  # the name by which runtimes are asked
    model.signatureDefs = mine[:1] or None
    model.subgraphs = [model.subgraphs[number] for number in kept]


def _references(tree: Any) -> Iterator[tuple[Any, str]]:
    """(options, name of a field) that hold numbers of other subgraphs."""
    for operator in tree.operators or ():
        for options in (operator.builtinOptions, operator.builtinOptions2):
            for name, value in vars(options).items() if options is not None else ():
                if value is None:
                    continue
                call = name == "subgraph" and type(options).__name__ == "CallOptionsT"
                if name.endswith("ubgraphIndex") or name in _CALLS or call:
                    yield options, name


def _size(part: Subgraph, path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    names = {name: tensor for tensor, name in input_names(part).items()}
    names |= {part.name(tensor): tensor for tensor in part.inputs if part.name(tensor) not in names}
    for name, shape in shapes.items():
        if not name and len(part.inputs) == 1:
            tensor = part.inputs[0]
        elif name in names:
            tensor = names[name]
        else:
            said = ", ".join(f"{one[:80]}={_words(_open_shape(part, t))}" for t, one in input_names(part).items())
            what = f"has no input {name!r}" if name else f"has {len(part.inputs)} inputs"
            raise TfeffError(f"{path}: {what}", f"--input-shape NAME=SIZES of {said}")
        wanted = _open_shape(part, tensor)
        fits = len(wanted) == len(shape) and all(a in (-1, b) for a, b in zip(wanted, shape, strict=True))
        if not fits:
            said = ", ".join("?" if size < 0 else str(size) for size in wanted)
            raise TfeffError(
                f"{path}: its input {input_names(part)[tensor][:80]} has the shape ({said}), not {_words(shape)}",
                "give sizes where the file has ?, and its own elsewhere",
            )
        if (needed := bytes_of(part.dtype(tensor), shape)) > MOST_BYTES:
            raise TfeffError(f"{path}: an input of {_words(shape)} takes {needed:,} bytes", "give smaller sizes")
        tree = part.tree.tensors[tensor]
        tree.shape, tree.shapeSignature, tree.hasRank = np.array(shape, np.int32), None, True


def _open_shape(part: Subgraph, tensor: int) -> tuple[int, ...]:
    return part.shape_signature(tensor) or part.shape(tensor)


def _guess(place: int, size: int) -> int:
    return size if size >= 0 else 1 if place == 0 else 224


def _words(shape: tuple[int, ...]) -> str:
    return "x".join("?" if size < 0 else str(size) for size in shape)


def _text(name: bytes | None) -> str:
    return (name or b"").decode(errors="replace")


def with_shapes(data: bytes, shapes: Mapping[int, tuple[int, ...]]) -> bytes:
    """A file whose first subgraph's computed tensors have the shapes that a runtime gave them."""
    file = TfliteFile(data)
    count = len(file.tree.tensors or ())
    for number, shape in shapes.items():
        if not 0 <= number < count:
            continue  # the runtime's own
        tensor = file.tree.tensors[number]
        if not file.is_constant(number) and (file.shape_signature(number) or integers(tensor.shape) != shape):
            tensor.shape, tensor.shapeSignature, tensor.hasRank = np.array(shape, np.int32), None, True
    return bytes(pack(file.model))
