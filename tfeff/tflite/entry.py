"""Which part of a file runs: it may hold several subgraphs and signatures, and runtimes invoke the first subgraph."""

from pathlib import Path

from tfeff.tflite.file import TfliteFile
from tfeff.tflite.part import WHOLE, PartOptions, is_plain, open_batches, take_part


def which_runs(path: Path, part: PartOptions = WHOLE, done: str = "run") -> str:
    """A line for people where a part was chosen, where a file has several signatures or subgraphs, or where it leaves
    its batch open; empty for any other file.

    Args:
        path: a file that is known to be whole (`verify.check_tflite`).
        part: what was chosen.
        done: what is done to the part, such as "timed"; of what is "judged" all subgraphs are.
    """
    data = path.read_bytes()
    if not part.given and is_plain(data):
        return ""
    file = TfliteFile(data, path)
    if part.given:
        return f"{path.name}: {take_part(data, path, part, may_be_open=True).said} is {done}{_others(file, part)}"
    said = _several(file, done)
    if (batches := open_batches(file)) and done != "judged":
        said += ("; " if said else "") + f"the batch, which {', '.join(batches)} leaves open, is 1"
    return f"{path.name}: {said}" if said else ""


def _several(file: TfliteFile, done: str) -> str:
    signatures = file.model.signatureDefs or ()
    names = [(one.signatureKey or b"").decode(errors="replace") for one in signatures]
    choose = "--signature chooses one"
    if len(signatures) > 1:
        first = [name for name, one in zip(names, signatures, strict=True) if one.subgraphIndex == 0]
        part = first[0] if first else "its first subgraph, which none of them names,"
        what = f"the operations of all are {done}" if done == "judged" else f"{part} is {done}"
        return f"has {len(signatures)} signatures ({', '.join(names)}): {what}; {choose}"
    if file.bodies:
        what = f"the operations of all are {done}" if done == "judged" else f"the first is {done}, with those it calls"
        return f"has {1 + len(file.bodies)} subgraphs: {what}"
    return ""


def _others(file: TfliteFile, part: PartOptions) -> str:
    names = [(one.signatureKey or b"").decode(errors="replace") for one in file.model.signatureDefs or ()]
    left = [name for name in names if name != part.signature]
    return f", of its signatures {', '.join(names)}" if part.signature is not None and left else ""
