"""What `edgetpu_compiler` prints and logs, read into figures. Its grammar as seen from 14.1 to 16.0."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tfeff.export.targets.common.verdict import CPU, MAPPED, REFUSED, STRANDED, OpVerdict, Verdict
from tfeff.export.targets.edgetpu.op_rules import INSTEAD, OTHERWISE

Row = tuple[str, int, str]  # operation, count, status

_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_VERSION = re.compile(r"^Edge TPU Compiler version (\S+)", re.M)
_ROW = re.compile(r"^(\S+)\s+(\d+)\s+(\S.*)$")
# Whichever of these comes last in the output is how the last attempt ended.
_ENDS = re.compile(
    r"(?P<good>Models? compiled successfully|Compilation succeeded!)"
    r"|Compilation failed|Internal compiler error|Invalid model|Model could not be parsed"
)
_FIELDS = {
    "input": ("Input model", str),
    "output": ("Output model", str),
    "input_bytes": ("Input size", "size"),
    "output_bytes": ("Output size", "size"),
    "on_chip_bytes": ("On-chip memory used for caching model parameters", "size"),
    "on_chip_free_bytes": ("On-chip memory remaining for caching model parameters", "size"),
    "off_chip_bytes": ("Off-chip memory used for streaming uncached model parameters", "size"),
    "subgraphs": ("Number of Edge TPU subgraphs", int),
    "total": ("Total number of operations", int),
    "on_edgetpu": ("Number of operations that will run on Edge TPU", int),
    "on_cpu": ("Number of operations that will run on CPU", int),
}


@dataclass(frozen=True)
class Report:
    """What the compiler says of one model; None where this version does not say it.

    Attributes:
        input, output: paths, as printed.
        input_bytes, output_bytes: sizes of the files.
        on_chip_bytes: of parameters that stay on the chip.
        on_chip_free_bytes: of on-chip memory left for parameters.
        off_chip_bytes: of parameters that are sent on every inference.
        subgraphs: Edge TPU parts.
        total, on_edgetpu, on_cpu: operations; the last two are printed only where some stay on the CPU.
        rows: (operation, count, status), where the table was printed.
    """

    input: str | None = None
    output: str | None = None
    input_bytes: int | None = None
    output_bytes: int | None = None
    on_chip_bytes: int | None = None
    on_chip_free_bytes: int | None = None
    off_chip_bytes: int | None = None
    subgraphs: int | None = None
    total: int | None = None
    on_edgetpu: int | None = None
    on_cpu: int | None = None
    rows: tuple[Row, ...] = ()


def parse_version(text: str) -> str | None:
    """The version in the first line of output or log."""
    found = _VERSION.search(text)
    return found[1] if found else None


def parse_size(text: str) -> int:
    """Bytes of a size such as 7.02MiB; the compiler rounds to two digits.

    Raises:
        ValueError: not a size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)", text.strip())
    if not found:
        raise ValueError(f"not a size: {text!r}")
    return round(float(found[1]) * _UNITS[found[2]])


def parse_rows(text: str) -> tuple[Row, ...]:
    """The operations of a table, printed or in the `.log`; what stands before its header is no row."""
    _, header, table = text.partition("Operator ")
    rows = (_ROW.match(line) for line in table.splitlines()[1:]) if header else ()
    return tuple((row[1], int(row[2]), row[3].strip()) for row in rows if row)


def parse_output(text: str) -> tuple[Report, ...]:
    """One report a model of the last attempt; empty where that did not succeed.

    With `--search_delegate` the output holds failed attempts before a good one, or good words before a failure.
    """
    ends = list(_ENDS.finditer(text))
    if not ends or not ends[-1]["good"]:
        return ()
    starts = [end.start() for end in ends if end[0].endswith("compiled successfully")]
    last = text[starts[-1] if starts else 0 :]
    blocks = re.split(r"(?m)^(?=Input model:)", last)[1:]
    return tuple(_report(block) for block in blocks) or (_report(last),)


def _report(block):
    values = {}
    for name, (words, kind) in _FIELDS.items():
        if found := re.search(rf"(?m)^{re.escape(words)}: *(.+?) *$", block):
            try:
                values[name] = parse_size(found[1]) if kind == "size" else kind(found[1])
            except ValueError:
                continue  # a form that is not known: the figure is left out, what it stands beside is still true
    return Report(**values, rows=parse_rows(block))


_BEFORE = "mend what is refused before it"
# Status of an operation -> (status of ours, mend); the mend of None is looked up by the operation.
_STATUSES: dict[str, tuple[str, str | None]] = {
    "Mapped to Edge TPU": (MAPPED, ""),
    "More than one subgraph is not supported": (STRANDED, _BEFORE),
    "Operation not supported": (REFUSED, None),
    "Operation version not supported": (
        REFUSED,
        "convert with `tfeff export --target edgetpu`; give Dense layers inputs of rank 2",
    ),
    "Operation is otherwise supported, but not mapped due to some unspecified limitation": (
        REFUSED,
        "make the tensor smaller, or keep its layout: large maps and moved channels stay on the CPU",
    ),
    "Operation is working on an unsupported data type": (REFUSED, "export with --int8, without --io float32"),
    "Tensor has unsupported rank (up to 3 innermost dimensions mapped)": (
        REFUSED,
        "keep tensors at (1, height, width, channels)",
    ),
}


def confirmed(report: Report, rows: Sequence[Row], facts: dict) -> Verdict:
    """The compiler's own verdict; a status that is not known is passed on as it is and counts as CPU.

    Args:
        rows: of the `.log`, or of the printed table; empty where there is neither, and only counts are known.
        facts: figures to go with it.
    """
    operations = []
    for name, count, status in rows:
        ours, mend = _STATUSES.get(status, (CPU, ""))
        mend = INSTEAD.get(name, OTHERWISE) if mend is None else mend
        entry = OpVerdict(-1, name, 0, name, ours, "" if ours == MAPPED else status, mend)
        operations += [entry] * count
    if not rows and report.total is not None:
        on_cpu = report.on_cpu or 0
        unknown = OpVerdict(-1, "operation", 0, "operation", CPU, "the compiler's table of operations is missing")
        operations = [OpVerdict(-1, "operation", 0, "operation", MAPPED)] * (report.total - on_cpu) + [unknown] * on_cpu
    return Verdict("edgetpu", "confirmed", tuple(operations), facts=facts)


_FAILURES = (
    (
        r"builtin opcode '(\w+)' version '(\d+)'",
        "{0} of version {1} is newer than the compiler: export with --target edgetpu",
    ),
    (
        r"builtin_code out of range: (\d+)",
        "builtin code {0} is newer than the compiler: replace that operation (`tfeff check --target edgetpu` names it)",
    ),
    (r"dynamic-sized tensors", "export with a fixed batch of 1, as `tfeff export` does"),
    (
        r"dims->data\[3\] != ",
        "a group convolution, or 64-bit paddings: export with --target edgetpu",
    ),
    (r"large activation tensors", "a smaller input, or fewer channels at full size"),
    (
        r"Internal compiler error",
        "a smaller input, or fewer channels at full size; compiler 16.0 says more than older ones",
    ),
    (r"Invalid model|could not be parsed", "`tfeff check FILE --target edgetpu` names what the compiler cannot read"),
)


def failure_mend(text: str) -> str:
    """What to do about a failure, by the words of its last attempt; of several, the one that says most."""
    for pattern, mend in _FAILURES:
        if found := list(re.finditer(pattern, text)):
            return mend.format(*found[-1].groups())
    return "`tfeff check FILE --target edgetpu` names what speaks against the file"


def is_compile_failure(text: str) -> bool:
    """Whether the file was read but not compiled, so that a cut nearer the input may still succeed."""
    unread = re.search(r"Invalid model|could not be parsed|Registration failed|dynamic-sized", text)
    return not unread and bool(re.search(r"Compilation failed|Internal compiler error", text))


def last_lines(text: str, count: int = 3) -> str:
    """The last lines that say something."""
    said = (line.strip() for line in text.splitlines())
    dull = ("Edge TPU Compiler version", "Started a compilation timeout", "Compilation child process")
    return " | ".join([line[:200] for line in said if line and not line.startswith(dull)][-count:])
