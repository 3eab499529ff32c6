"""Writes docs/benchmarks.md from what the benchmarks printed with --json into docs/results/.

    python benchmarks/train_step.py --json > docs/results/train_step.json
    python benchmarks/group_conv.py --json > docs/results/group_conv.json
    python benchmarks/export.py --on python:.venv-tflite/bin/python --json > docs/results/export_litert.json
    python benchmarks/export.py --on python:.venv-tflite/bin/python --target tflite-runtime --json \\
        > docs/results/export_tflite_runtime.json
    python benchmarks/shift.py --on local --on python:.venv-tflite/bin/python --json > docs/results/shift.json
    python benchmarks/rewrites.py
    python benchmarks/report.py
"""

import json
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def read(name):
    return json.loads((DOCS / "results" / f"{name}.json").read_text(encoding="utf-8"))


def interval(values, digits=2):
    return f"[{values[0]:.{digits}f}, {values[1]:.{digits}f}]"


def train_step():
    report = read("train_step")
    machine, versions = report["machine"], report["versions"]
    yield f"`benchmarks/train_step.py`: {report['network']}, {report['input_size']}x{report['input_size']}, batch "
    yield f"{report['batch']}, `train_on_batch` with AdamW; {machine['cpu']}, {machine['cores']} cores; TensorFlow "
    yield f"{versions['tensorflow']}, Keras {versions['keras']}, Python {versions['python']}; {report['rounds']} "
    yield "rounds.\n"
    yield "\n| layers | threads | jit_compile | a step, ms | 95 % |\n|---|---|---|---|---|\n"
    for step in report["steps"]:
        yield f"| {step['layers']} | {step['threads']} | {step['jit_compile']} | {step['median_ms']:.1f} | "
        yield f"{interval(step['ci95_ms'], 1)} |\n"
    yield "\n*small-image* threads are those that `tfeff train` sets for small images (two operations side by "
    yield "side, half the cores each); *stock* has Keras' own BatchNormalization too.\n\n"
    for threads, ratio in report["same_threads"].items():
        yield f"- `Conv2D(groups)` with {threads} threads takes {ratio['ratio']:.1f} "
        yield f"{interval(ratio['ci95'], 1)} times as "
        yield "long as `GroupConv2D` with the same.\n"
    for rival, ratio in report["ratios"].items():
        yield f"- The best {rival} takes {ratio['ratio']:.1f} {interval(ratio['ci95'], 1)} times as long as the best "
        yield "`GroupConv2D`.\n"


def group_conv():
    report = read("group_conv")
    machine = report["machine"]
    yield f"`benchmarks/group_conv.py`: int8 {report['network']}, 224x224, random weights; {machine['cpu']}, "
    yield f"{machine['cores']} cores.\n\n| file | sha256 | runtime | median, ms | 95 % |\n|---|---|---|---|---|\n"
    for result in report["results"]:
        yield f"| {result['file']} | {result['sha256'][:12]} | {result['runtime']} {result['version']}, "
        yield f"{result['threads']} "
        yield f"thread | {result['median_ms']:.1f} | {interval(result['ci95_ms'], 1)} |\n"
    outputs = report["outputs"]
    yield f"\nSplit is {report['speedup']:.1f} {interval(report['ci95'], 1)} times as fast as the stock "
    yield "conversion; on "
    yield f"{outputs['images']} real images the outputs are at most {outputs['max_lsb']} LSB apart.\n"


def shift():
    report = read("shift")
    machine, cases = report["machine"], report["cases"]
    names = [form["form"] for form in cases[0]["forms"]]
    yield "`benchmarks/shift.py`: an int8 file of two pointwise convolutions and a shift between them, in several "
    yield f"forms, all of a row in one interleaved run; {machine['cpu']}, {machine['cores']} cores. The figures are "
    yield "times against the two convolutions without a shift, with their 95 % intervals; in bold the least of a row. "
    yield "The times, every sha256 and the files' distance from Keras are in `docs/results/shift.json`.\n\n"
    yield "`freeze_shift` (`--target litert`) takes *one kernel* up to 3x3 and *column, row* beyond, `slice_shift` "
    yield "(`--target tflite-runtime`) takes *slices*. *By reach* and *tiles* are depthwise convolutions of groups of "
    yield "channels, each as small as its shifts allow; *slices, gathers* is for a shift with no convolution around. "
    yield "On the smallest maps slices can be the quickest in LiteRT too, but XNNPACK does not take them whole.\n"
    for number, one in enumerate(cases[0]["forms"][0]["results"]):
        yield f"\n{one['runtime']} {one['version']}, {one['threads']} thread:\n\n"
        yield f"| map | shift | without, ms | {' | '.join(names[1:])} | sha256 of the least |\n"
        yield f"|---|---|---|{'---|' * len(names)}\n"
        for case in cases:
            without, *forms = case["forms"]
            ratios = [form["results"][number]["of_without"] for form in forms]
            least = ratios.index(min(ratios))
            size = f"{case['size']}x{case['size']}x{case['channels']}"
            yield f"| {size} | {case['shift']} | {without['results'][number]['median_ms']:.3f} | "
            for n, (ratio, *ci95) in enumerate(ratios):
                mark = "**" if n == least else ""
                yield f"{mark}{ratio:.2f}{mark} {interval(ci95)} | "
            yield f"{forms[least]['sha256'][:12]} |\n"


def rewrites():
    rows = read("rewrites")
    timed = [row for row in rows if row["runtime"] != "vela"]
    machine = timed[0]["machine"]
    yield "`benchmarks/rewrites.py`: int8 files of whole networks, random weights, `--target` against the stock "
    yield "converter on the plain network, quantized by that converter too (the rewrites alone differ), both in "
    yield "one interleaved run in the same runtime, 1 thread; "
    yield f"{machine['cpu']}, {machine['cores']} cores. VarGFaceNet at 112x112, all others at 224x224. `web` is "
    yield "its file in LiteRT, not in a browser. A ranking on x86 says nothing of ARM.\n\n"
    yield "| network | target | runtime | stock, ms | rewritten, ms | times as fast, 95 % | rewrites | sha256 |\n"
    yield "|---|---|---|---|---|---|---|---|\n"
    for row in timed:
        yield f"| {row['network']} | {row['target']} | {row['runtime']} {row['version']} | "
        yield f"{row['stock']['median_ms']:.3f} | "
        yield f"{row['ours']['median_ms']:.3f} | {row['speedup']:.2f} {interval(row['ci95'])} | {_forms(row)} | "
        yield f"{row['ours']['sha256'][:12]} |\n"
    estimated = [row for row in rows if row["runtime"] == "vela"]
    yield f"\n`ethos-u`: cycles by Vela {estimated[0]['version']}'s model of {estimated[0]['accelerator']}; "
    yield "nothing was run on hardware.\n\n"
    yield "| network | stock | rewritten | times fewer | on the CPU | rewrites | sha256 |\n"
    yield "|---|---|---|---|---|---|---|\n"
    for row in estimated:
        yield f"| {row['network']} | {row['stock']['cycles']:,} | {row['ours']['cycles']:,} | {row['speedup']:.2f} | "
        yield f"{row['ours']['on_cpu']} | {_forms(row)} | {row['ours']['sha256'][:12]} |\n"


def _forms(row):
    forms = [f"{name}{':' + form if form else ''} {places}" for name, form, places in row["rewrites"]]
    return ", ".join(forms) or "none"


def export(name):
    report = read(name)
    (accuracy,), versions = report["accuracy"], report["versions"]
    yield f"`tfeff export vargnet --int8 --target {report['target']}`: {report['seconds']:.0f} s, at most "
    yield f"{report['peak_bytes'] / 2**30:.2f} GiB, on {report['cores']} cores; TensorFlow "
    yield f"{versions['tensorflow']}, Keras "
    yield f"{versions['keras']}. {report['size_bytes']:,} bytes, sha256 `{report['sha256'][:12]}` (float twin "
    yield f"`{report['float_twin']['sha256'][:12]}`); {report['ops']['int8']} of {report['ops']['total']} "
    yield "operations int8, "
    yield f"{len(report['ops']['float'])} float. On {accuracy['samples']:,} images: float "
    yield f"{accuracy['float']:.2f} %, int8 "
    yield f"{accuracy['quantized']:.2f} %, difference {accuracy['delta']:+.2f} points "
    yield f"{interval(accuracy['ci95'])}, McNemar "
    yield f"p {accuracy['p']:.2g}, {accuracy['details']['flips']:.2f} % of the predictions changed.\n\n"
    yield "| device | runtime | int8, ms | 95 % | of the float twin's time | XNNPACK |\n|---|---|---|---|---|---|\n"
    for entry, ratio in zip(report["latency"], report["ratios"], strict=True):
        yield f"| {entry['device']}, {entry['cpu']} | {entry['runtime']} {entry['version']}, {entry['threads']} "
        yield "thread | "
        yield f"{entry['median_ms']:.3f} | {interval(entry['ci95_ms'], 3)} | {ratio['ratio']:.2f} "
        yield f"{interval(ratio['ci95'])} | "
        yield f"{entry['kernels']['xnnpack']} |\n"


def main():
    parts = [
        "# Benchmarks\n\nWritten by `benchmarks/report.py` from `docs/results/`; that script says how each was run. ",
        "Every ratio is of one interleaved run.\n\n## A training step\n\n", *train_step(),
        "\n## Group convolution in tflite-runtime\n\n", *group_conv(),
        "\n## Rewrites\n\n", *rewrites(),
        "\n## Shift\n\n", *shift(),
        "\n## The main job\n\n", *export("export_litert"), "\n", *export("export_tflite_runtime"),
    ]  # fmt: skip
    (DOCS / "benchmarks.md").write_text("".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
