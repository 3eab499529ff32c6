"""docs/targets.md, from what `targets_table.py` measured and from the targets' own tables."""

import json
from collections.abc import Iterator
from pathlib import Path

from tfeff.presets import aliases

_REWRITES = Path(__file__).parents[1] / "docs" / "results" / "rewrites.json"

_INTRODUCTION = """\
# Targets

Written by `benchmarks/targets_table.py`. A target is what a file must run on, named with `--target` (default `litert`). It is
one file in `export/targets/`: which rewrites the network gets before conversion and why ([rewrites.md](rewrites.md)), what the
finished file is checked for ([check.md](check.md)), which compiler it is handed to. `tfeff check FILE --target T` runs the check
alone, on any `.tflite` file.

How to choose: `litert` for current Android apps and anything that bundles LiteRT 2; `tflite-runtime` where the old package
is installed, mostly on boards; `edgetpu` for Coral; `ethos-u` for microcontrollers with Arm's NPU (`--accelerator` says which); `web`
for a browser. The tables below are the order in which rewrites apply. They are measurements of one machine or rules of one
compiler; `--tune` times the forms of each rewrite on a device of yours and keeps the fastest there.

The network that is trained stays as it is: rewrites change a copy. Any functional or Sequential Keras 3 model is rewritten, bundled or
your own. A SavedModel, or a model without a graph (subclassed), is exported as it is, and a note in the record says so.
"""


def page(rows: list[dict]) -> Iterator[str]:
    """The page, piece by piece; `rows` as `targets_table.py` keeps them, each with its `missed` lines."""
    from tfeff.export.targets import list_targets

    targets = list_targets()
    yield _INTRODUCTION
    yield "\n| target | runs on | takes | at the door | what the table rests on |\n|---|---|---|---|---|\n"
    for name, target in targets.items():
        yield f"| `{name}` | {target.summary} | {', '.join(target.precisions or ['any precision'])} | "
        yield f"{target.io or 'int8'} | {_measured_on(name, rows)} |\n"
    yield "\nAn order of forms that was measured on x86 is not carried over to ARM: there, `--tune` decides.\n"
    for name, target in targets.items():
        yield f"\n## {name}\n\n"
        yield f"Refused: {_code(target.refuses)}.\n\n" if target.refuses else ""
        yield "| rewrite | form | why |\n|---|---|---|\n"
        for spec in target.rewrites:
            rewrite, _, form = spec.partition(":")
            yield f"| `{rewrite}` | {_code([form]) if form else ''} | {target.because.get(rewrite, '')} |\n"
    yield from _measured(rows)
    yield from _missed(rows)


def _measured(rows):
    whole = [row for row in rows if not row.get("error")]
    if not whole:
        return
    machines = sorted({f"{row['machine']['cpu']}, {row['machine']['cores']} cores" for row in whole})
    versions = sorted({_versions(row["versions"]) for row in whole})
    alias = {name: short for short, name in aliases().items()}
    yield "\n## Every bundled preset on every target\n\n"
    yield f"`tfeff export PRESET --int8 --target TARGET`, on the {whole[0]['accuracy']['samples']:,} test images of Fashion-MNIST "
    yield f"at 32x32, run in LiteRT whatever the target; {'; '.join(machines)}; {'; '.join(versions)}. Int8 is calibrated on the "
    yield "512 bundled images. *Plain* is the stock converter's int8 file of the network without rewrites, calibrated on the "
    yield "same images; it is compared on 2,000 test images. *Float forms* are the Keras graphs before and after the rewrites, on "
    yield "these 2,000 images. *Mapped* says how many operations the target takes, (p)redicted or (c)onfirmed by its compiler. "
    yield "Cycles are estimates of Vela's model of the accelerator: nothing was run on hardware. VarGFaceNet is a face "
    yield "network; its accuracy here means little.\n\n"
    yield "| preset | target | rewrites, places | operations | in float | top-1 | from litert's | agrees with plain | top-1 from "
    yield "plain's | float forms agree | mapped | CPU operators; cycles | sha256 |\n"
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    litert = {row["preset"]: row for row in whole if row["target"] == "litert"}
    for row in rows:
        yield f"| `{alias.get(row['preset'], row['preset'])}` | `{row['target']}` | "
        if row.get("error"):
            yield f"not exported: {row['error']} |" + " |" * 10 + "\n"
            continue
        top1, plain = row["accuracy"]["quantized_top1"], row["plain"]
        base = litert.get(row["preset"])
        yield f"{', '.join(_rewrite(each) for each in row['rewrites']) or 'none'} | {row['ops']['total']} | "
        yield f"{len(row['ops']['float'])} | {top1:.2f} % | "
        yield f"{top1 - base['accuracy']['quantized_top1']:+.2f} | " if base else " | "
        yield f"{plain['agreement']:.2f} % | {plain['difference']:+.2f} | {row.get('float_agreement', 0):.2f} % | "
        yield f"{_mapped(row['check'])} | {_compiled(row['compiled'])} | `{row['sha256'][:12]}` |\n"


def _missed(rows):
    lines = [f"- `{row['preset']}` for `{row['target']}`: {line}\n" for row in rows for line in row["missed"]]
    yield "\n## Missed\n\n"
    yield "Asked of every row: no operation in float; top-1 within 0.3 points of the litert file's and of the plain file's; at least "
    yield "98.5 % agreement with the plain file; float forms that agree on every image; every operation mapped; no operator of "
    yield "Vela's on the CPU. "
    yield "Not met:\n\n" if lines else "All of it is met.\n"
    yield from lines


def _measured_on(target, rows):
    """What decided a target's table: timings, a compiler's model, or rules."""
    timed = json.loads(_REWRITES.read_text(encoding="utf-8")) if _REWRITES.exists() else []
    timed = [row for row in timed if row["target"] == target]
    compiled = [row["compiled"] for row in rows if row["target"] == target and row.get("compiled")]
    found = {
        f"{row['runtime']} {row['version']}, {row['machine']['cpu']} (x86), {row['threads']} thread" for row in timed
    }
    if target == "web" and found:
        return f"{'; '.join(sorted(found))}: no browser was timed"
    if compiled and (cycles := {_modelled(each) for each in compiled if each.get("estimated_by")}):
        found |= cycles
    return "; ".join(sorted(found)) or "rules, see [check.md](check.md); nothing was timed"


def _modelled(compiled):
    return f"estimates of {compiled['compiler'].capitalize()} {compiled['version']} for {compiled['accelerator']}; no hardware"


def _rewrite(each):
    name = f"{each['name']}:{each['form']}" if each["form"] else each["name"]
    return f"`{name}` {each['places']}"


def _mapped(check):
    text = f"{check['mapped']} of {check['total']} ({check['basis'][0]})"
    if check["ok"]:
        return text
    refused = [row for row in check["operations"] if row["status"] in ("refused", "cpu")]
    refused = [f"{row['count']} {row['op']}: {row['reason']}" for row in refused]
    return "; ".join([text, *refused, *(problem["reason"] for problem in check["problems"])])


def _compiled(compiled):
    if not compiled or "cpu_operators" not in compiled:
        return ""
    return f"{compiled['cpu_operators']}; {compiled['estimates']['cycles']:,} on {compiled['accelerator']}"


def _versions(versions):
    names = {"tensorflow": "TensorFlow", "keras": "Keras", "ai-edge-litert": "ai-edge-litert"}
    return ", ".join(f"{word} {versions[name]}" for name, word in names.items())


def _code(words):
    return ", ".join(f"`{word}`" for word in words)
