"""The table of all bundled presets, each exported to int8 as a user would: `tfeff export PRESET --int8`.

    python benchmarks/zoo.py [PRESET ...] [--target litert] [--max-drop 1.0] [--on DEVICE ...]

Writes docs/results/zoo.json and docs/zoo.md (with PRESETs only those are measured anew). Exit code 1 when an export
fails or an int8 top-1 is more than --max-drop points below its float.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tfeff.presets import aliases, list_presets, load_preset

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results" / "zoo.json"
# What the table needs of a record; the rest stands in the record that everybody's own export writes.
_KEPT = ("preset", "network", "target", "sha256", "size_bytes", "float_twin", "ops", "rewrites", "parameters", "macs",
         "accuracy", "ports", "latency", "versions")  # fmt: skip


def export(preset: str, target: str, devices: list[str]) -> dict:
    """What the command says of one preset, with the interleaved ratio to the float twin for each device."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tfeff", "export", preset, "--int8", "--target", target, "--out", folder]
        command += [word for device in devices for word in ("--on", device)]
        ran = subprocess.run([*command, "--json"], capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"{preset}: exit code {ran.returncode}\n{ran.stderr}")
    record = json.loads(ran.stdout)
    ratios = [
        {"device": ratio["device"].partition(":")[0], "ratio": ratio["ratio"], "ci95": ratio["ci95"]}
        for ratio in record["bench"]["ratios"]
    ]
    for entry in record["latency"]:
        entry["device"] = entry["device"].partition(":")[0]  # not a place on this machine
    return {key: record[key] for key in _KEPT} | {"ratios": ratios, "cores": os.cpu_count()}


def table(rows: list[dict]):
    """docs/zoo.md, line by line."""
    alias = {name: short for short, name in aliases("classification").items()}
    first = rows[0]
    machine, versions = first["latency"][0], first["versions"]
    yield "# The zoo\n"
    yield "Written by `benchmarks/zoo.py`: every bundled preset through `tfeff export PRESET --int8` (target "
    yield f"`{first['target']}`), float against int8 on the {first['accuracy'][0]['samples']:,} test images of "
    yield "Fashion-MNIST at 32x32, one image at a time in the runtime. Int8 is calibrated on the 512 bundled images. "
    yield f"Times are of {machine['cpu']}, {first['cores']} cores, {machine['runtime']} {machine['version']}, "
    yield f"{machine['threads']} thread; TensorFlow {versions['tensorflow']}, Keras {versions['keras']}. Training was "
    yield "short ([training.md](training.md)), so the table says what int8 costs each network, not which network is "
    yield "best.\n"
    yield "\n| preset | parameters | MAdds | float top-1 | int8 top-1 | difference, 95 % | flipped | int8 file | "
    yield "sha256 | int8, ms | of the float time | int8 operations |\n"
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    for row in rows:
        (accuracy,), latency, ratio = row["accuracy"], row["latency"][0], row["ratios"][0]
        low, high = accuracy["ci95"]
        name = row["preset"]
        yield f"| `{alias.get(name, name)}`: {row['network']} | {row['parameters']:,} | {row['macs']:,} | "
        yield f"{accuracy['float']:.2f} % | {accuracy['quantized']:.2f} % | {accuracy['delta']:+.2f} "
        yield f"[{low:+.2f}, {high:+.2f}] | {accuracy['details']['flips']:.2f} % | {row['size_bytes']:,} B | "
        yield f"`{row['sha256'][:12]}` | {latency['median_ms']:.3f} | {ratio['ratio']:.2f} "
        yield f"[{ratio['ci95'][0]:.2f}, {ratio['ci95'][1]:.2f}] | {row['ops']['int8']} of {row['ops']['total']} |\n"
    yield "\n## How they were trained\n\n"
    yield "| preset | epochs, best | float top-1 as bundled | weights | command |\n|---|---|---|---|---|\n"
    for row in rows:
        preset = load_preset(row["preset"])
        training = preset.training
        yield f"| `{alias.get(preset.name, preset.name)}` | {training['recipe']['epochs']}, {training['best_epoch']} | "
        yield f"{training['float_top1']:.2f} % on {training['samples']:,} | {preset.weights.stat().st_size:,} B | "
        yield f"`{training['command']}` |\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET", help="presets or their aliases; all without")
    parser.add_argument("--target", default="litert")
    parser.add_argument("--on", action="append", help="a device; repeat it (default: local)")
    parser.add_argument("--max-drop", type=float, default=1.0, help="points of top-1 that int8 may cost (default 1.0)")
    arguments = parser.parse_args()
    bundled = list_presets("classification")
    chosen = [aliases().get(name, name) for name in arguments.presets] or list(bundled)
    if unknown := set(chosen) - set(bundled):
        parser.error(f"not bundled: {', '.join(sorted(unknown))}")
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() and arguments.presets else []
    rows = {row["preset"]: row for row in known}
    failed = []
    for preset in chosen:
        row = rows[preset] = export(preset, arguments.target, arguments.on or ["local"])
        (accuracy,) = row["accuracy"]
        print(f"{preset}: float {accuracy['float']:.2f} %, int8 {accuracy['quantized']:.2f} % "
              f"({accuracy['delta']:+.2f}), {row['latency'][0]['median_ms']:.3f} ms", file=sys.stderr)  # fmt: skip
        if -accuracy["delta"] > arguments.max_drop:
            failed.append(f"{preset} lost {-accuracy['delta']:.2f} points")
    ordered = [rows[name] for name in sorted(rows)]
    RESULTS.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    (DOCS / "zoo.md").write_text("".join(table(ordered)), encoding="utf-8")
    sys.exit("; ".join(failed) or 0)


if __name__ == "__main__":
    main()
