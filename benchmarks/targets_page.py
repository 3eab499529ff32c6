"""docs/targets.md, from what `targets_table.py` measured and from the targets' own tables."""

from collections.abc import Iterator

from tfeff.presets import aliases

_INTRODUCTION = """\
# Targets

Written by `benchmarks/targets_table.py`. `--target` names what a file must run on. A target is one file in
`export/targets/`: which rewrites the network gets, why, and what is checked in the finished file. The default is
`litert`; choose by where the file will run, not by what is quick on your desk, for a ranking on one processor says
nothing of another. `--tune DEVICE` measures on yours.

A rewrite changes the Keras graph before conversion and must not change what it computes: the outputs before and after
are compared on 16 of the calibration images (where none were given, which float precisions allow, on seeded noise;
`proof` in the record says which), the largest difference stands in the record, and more than 1e-5 of the output's
range is an error. Rewrites work on every functional or Sequential Keras model: models inside it are unfolded, a layer
that is called twice becomes two. A model without a graph (subclassed, or a SavedModel) is exported as it is, and a
note in the record says so. Int8 is another matter: other operations round elsewhere, so two int8 files of one network
agree on most images, not on all. The tables below say on how many.

Where the target has a compiler, that compiler's word counts ("confirmed"); else rules predict ([check.md](check.md)).
`edgetpu` takes Coral's `edgetpu_compiler` where it is on PATH, in `EDGETPU_COMPILER` or named by `--compiler`, and
the compiled file lies beside the artifact; without it the export ends with the prediction. `ethos-u` needs Vela (`pip
install 'tfeff[ethos-u]'`), and `--accelerator` says for which chip. An operation that either leaves to the CPU is a
missed gate: exit code 1, the files are there.

`--tune DEVICE` builds every form of every rewrite that the target can run, for each distinct shape in the network,
times them in one interleaved run on that device, and takes the quickest; the record's `tuning` says what was tried
and what won. Shuffles and shifts are decided for the whole network.
"""
_WANTED = """\
Wanted: agreement with plain of at least 98.5 %, at most 0.3 points apart from it and from the `litert` file, \
everything mapped."""


def page(rows: list[dict]) -> Iterator[str]:
    """The page, piece by piece; `rows` as `targets_table.py` keeps them, each with its `missed` lines."""
    from tfeff.export.targets import list_targets

    targets = list_targets()
    yield _INTRODUCTION
    yield "\n| target | runs on | precisions | at the door | what the choice rests on |\n|---|---|---|---|---|\n"
    for name, target in targets.items():
        precisions, door = ", ".join(target.precisions or ("any",)), target.io or "as the precision"
        yield f"| `{name}` | {target.summary} | {precisions} | {door} | {target.rests_on} |\n"
    yield "\n## Which rewrites, and why\n"
    for name, target in targets.items():
        yield f"\n`{name}`:\n\n| rewrite | because |\n|---|---|\n"
        for spec in target.rewrites:
            because = target.because[spec.partition(":")[0]]
            if spec in target.finer:
                because += f"; of a model that is no preset `{target.finer[spec]}`, which rounds no more than PRELU"
            yield f"| `{spec}` | {because} |\n"
    exported = [row for row in rows if not row.get("error")]
    if exported:
        yield from _measured(exported, list(targets))
    lines = [f"- {_short(row)}, `{row['target']}`: {line}\n" for row in rows for line in row["missed"]]
    yield f"\n## What was missed\n\n{_WANTED} "
    yield "Each line that was not met:\n\n" if lines else f"All met by all {len(rows)} files.\n"
    yield from lines


def _measured(rows, targets):
    first = rows[0]
    (accuracy,), versions = first["accuracy"], first["versions"]
    floats = min(row.get("float_agreement", 0) for row in rows)
    yield "\n## Every preset on every target\n\n"
    yield f"`tfeff export PRESET --int8 --target T`, {accuracy['samples']:,} test images of Fashion-MNIST, one at a "
    yield f"time in LiteRT {accuracy['version']} on {first['machine']['cpu']}; TensorFlow {versions['tensorflow']}, "
    yield f"Keras {versions['keras']}. *Plain* is the stock converter's int8 file of the same network, calibrated on "
    yield "the same 512 images; agreement is the share of 2,000 images (drawn before anything was measured) that both "
    yield "give the same class, the difference is rewritten minus plain, in points on these. The float forms of both "
    yield f"agreed on {floats:.2f} % of them at least. QUANTIZE and DEQUANTIZE at the door of `web` do not count as "
    yield "float.\n"
    litert = {row["preset"]: row["accuracy"][0]["quantized"] for row in rows if row["target"] == "litert"}
    for target in targets:
        if own := [row for row in rows if row["target"] == target]:
            yield f"\n`{target}`:\n\n"
            yield from _table(own, litert, target)


def _table(rows, litert, target):
    columns = ["preset", "rewrites", "operations", "int8 top-1", "agrees with plain", "difference", "mapped", "sha256"]
    if target != "litert":
        columns.insert(4, "from `litert`'s")
    compiled = [row["compiled"] for row in rows if row["compiled"]]
    npu = bool(compiled) and "cpu_operators" in compiled[0]  # Vela's figures
    if npu:
        named = f"{compiled[0]['accelerator']}, Vela {compiled[0]['version']}"
        columns[-1:] = ["CPU operators", f"cycles, estimated for {named}", "sha256"]
    yield f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    for row in rows:
        plain, top1 = row["plain"], row["accuracy"][0]["quantized"]
        cells = [
            _short(row),
            ", ".join(_rewrite(each) for each in row["rewrites"]) or "none",
            f"{row['ops']['total']}, {len(row['ops']['float'])} float",
            f"{top1:.2f} % ({row['accuracy'][0]['delta']:+.2f} of float)",
            f"{plain['agreement']:.2f} %",
            f"{plain['difference']:+.2f}",
            _mapped(row["check"]),
            f"`{row['sha256'][:12]}`",
        ]
        if target != "litert":
            cells.insert(4, f"{top1 - litert[row['preset']]:+.2f}" if row["preset"] in litert else "")
        if npu:
            cells[-1:] = [
                str(row["compiled"]["cpu_operators"]), f"{row['compiled']['estimates']['cycles']:,}", cells[-1]
            ]  # fmt: skip
        yield f"| {' | '.join(cells)} |\n"


def _short(row):
    names = {name: short for short, name in aliases("classification").items()}
    return names.get(row["preset"], row["preset"])


def _rewrite(each):
    return f"{each['name']}{':' + each['form'] if each['form'] else ''} {each['places']}"


def _mapped(check):
    """How many operations are mapped; where not all, the operations and the reasons."""
    refused = [row for row in check["operations"] if row["status"] in ("refused", "cpu")]
    refused = [f"{row['count']} {row['op']}: {row['reason']}" for row in refused]
    problems = [problem["reason"] for problem in check["problems"]]
    return "; ".join([f"{check['mapped']} of {check['total']}, {check['basis']}", *problems, *refused])
