"""Which part of a file is timed: files may hold several subgraphs and signatures, runtimes invoke the first."""

from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

_MAIN = 0


def timed_part(path: Path) -> str:
    """A line for people where a file has several signatures or subgraphs; empty for any other file."""
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    signatures = [model.SignatureDefs(number) for number in range(model.SignatureDefsLength())]
    names = [_text(one.SignatureKey()) for one in signatures]
    main = [name for name, one in zip(names, signatures, strict=True) if one.SubgraphIndex() == _MAIN]
    if len(signatures) > 1:
        timed = f"{main[0]} is timed" if main else "its first subgraph is timed, which none of them names"
        return f"{path.name}: has {len(signatures)} signatures ({', '.join(names)}): {timed}"
    if model.SubgraphsLength() > 1:
        return f"{path.name}: has {model.SubgraphsLength()} subgraphs: the first is timed, with those that it calls"
    return ""


def _text(name: bytes | None) -> str:
    return (name or b"").decode(errors="replace")
