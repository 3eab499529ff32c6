"""Which part of a file runs: it may hold several subgraphs and signatures, and runtimes invoke the first subgraph."""

from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

_FIRST = 0


def which_runs(path: Path, does: str = "runs") -> str:
    """A line for people where a file has several signatures or subgraphs; empty for any other file.

    Args:
        path: a file that is known to be whole (`verify.check_tflite`).
        does: what is done to the part that runs, such as "is timed".
    """
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    signatures = [model.SignatureDefs(number) for number in range(model.SignatureDefsLength())]
    names = [(one.SignatureKey() or b"").decode(errors="replace") for one in signatures]
    if len(signatures) > 1:
        runs = [name for name, one in zip(names, signatures, strict=True) if one.SubgraphIndex() == _FIRST]
        part = f"{runs[0]} {does}" if runs else f"its first subgraph, which none of them names, {does}"
        return f"{path.name}: has {len(signatures)} signatures ({', '.join(names)}): {part}"
    if model.SubgraphsLength() > 1:
        return f"{path.name}: has {model.SubgraphsLength()} subgraphs: the first {does}, with those that it calls"
    return ""
