"""What a target's rewrites are worth: int8 files of whole networks against the stock converter's, in one interleaved
run for each network and runtime.

    python benchmarks/rewrites.py [NETWORK ...] [--target litert] [--python .venv-tflite/bin/python] [--seconds 20]

Stock is TensorFlow's converter as its guide says (static batch, Optimize.DEFAULT, int8 at the door) on the network as
it is built; only what no converter takes, a shift whose kernel is computed from a weight, is frozen first. Both files
get the same weights (random: time does not depend on them) and the same calibration images. Target `tflite-runtime` is
timed in tflite-runtime, `litert` and `web` in LiteRT: `web` here stands for its file, not for a browser. For `ethos-u`
the figures are cycles that Vela estimates for an Ethos-U55-128, of both files; nothing is timed.

Writes docs/results/rewrites.json; with NETWORKs only those are measured anew.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from stock import FROZEN, stock_int8

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "rewrites.json"
# One of each family, near 1.0 where there is one.
NETWORKS = (
    "vargnet_v1_100_g8", "vargnet_v2_100_g8", "vargfacenet", "shufflenet_v2_x100", "pp_lcnet_100", "mobilenet_v1_100",
    "mobilenet_v2_100", "mobilenet_v3_large_100", "mobilenet_v3_small_100", "espnet_v2_100", "shiftnet_a",
    "as_resnet_w50", "fe_net_100", "vovnet_39", "ghostnet_100",
)  # fmt: skip
TARGETS = ("litert", "tflite-runtime", "web", "ethos-u")
CALIBRATION = 16  # images


def one(name: str, targets: list[str], python: str, seconds: float) -> list[dict]:
    """The rows of a network, one a target."""
    import keras
    import numpy as np

    import tfeff
    from tfeff.bench import Settings, bench
    from tfeff.data import InputPort
    from tfeff.export import quantize
    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.core import apply_rewrites
    from tfeff.export.targets import get_target

    keras.utils.set_random_seed(1)
    network = tfeff.create(name)
    shape = tuple(network.input_shape[1:])
    ports = [InputPort("image", shape)]
    _randomize(network)
    images = np.random.default_rng(0).standard_normal((CALIBRATION, *shape)).astype(np.float32)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.save(folder / "calibration.npy", images)
        plain, _ = apply_rewrites(network, [load_rewrite(spec) for spec in FROZEN], {"image": images[:2]})
        quantize.write_saved_model(plain, folder / "stock", ports, ["logits"])
        jobs = []
        for target in targets:
            rewritten, applied = apply_rewrites(
                network, map(load_rewrite, get_target(target).rewrites), {"image": images[:2]}
            )
            quantize.write_saved_model(rewritten, folder / target, ports, ["logits"])
            io = get_target(target).io or "int8"
            jobs.append(quantize.Job(str(folder / target), "int8", io, str(folder / f"{target}.tflite")))
            rows.append({"network": name, "input": list(shape), "target": target,
                         "rewrites": [[each.name, each.form, each.places] for each in applied]})  # fmt: skip
        quantize.convert(jobs, {"image": folder / "calibration.npy"}, folder)
        for io in {job.io for job in jobs}:
            stock_int8(folder / "stock", images, io, folder / f"stock.{io}.tflite")
        for row, job in zip(rows, jobs, strict=True):
            if row["target"] == "ethos-u":
                row.update(_cycles(folder / "stock.int8.tflite", Path(job.path), folder))
                print(f"{name:24s} ethos-u         {row['speedup']:.2f} times fewer cycles", file=sys.stderr)
                continue
            device = f"python:{python}" if row["target"] == "tflite-runtime" else "local"
            timing = bench([folder / f"stock.{job.io}.tflite", job.path], [device], Settings(max_seconds=seconds))
            row.update(_figures(timing.as_dict()))
            times = f"{row['stock']['median_ms']:9.3f} -> {row['ours']['median_ms']:9.3f} ms"
            print(f"{name:24s} {row['target']:15s} {times} "
                  f" {row['speedup']:.2f} times as fast {row['ci95']} {row['rewrites']}", file=sys.stderr)  # fmt: skip
    return rows


def _randomize(network):
    """No bias or slope at its neutral value, so that nothing can be left out. BN statistics stay: they decide whether a
    deep untrained network magnifies rounding, which the proof of a rewrite would see."""
    import numpy as np

    rng = np.random.default_rng(2)
    for variable in network.variables:
        kind = variable.path.rsplit("/", 1)[-1]
        if kind in ("beta", "bias"):
            variable.assign(0.1 * rng.standard_normal(variable.shape))
        elif kind == "alpha":
            variable.assign(rng.uniform(0.05, 0.5, variable.shape))


def _cycles(stock, ours, folder):
    from tfeff.export.targets.ethos_u import compiler as vela

    made = [vela.compile(path, folder, "ethos-u55-128") for path in (stock, ours)]
    cycles = [each.estimates["cycles"] for each in made]
    keys = ("stock", "ours")
    return {
        **{key: {"sha256": sha256(path.read_bytes()).hexdigest(), "cycles": count, "on_cpu": each.cpu_operators}
           for key, path, count, each in zip(keys, (stock, ours), cycles, made, strict=True)},
        "speedup": cycles[0] / cycles[1], "runtime": "vela", "version": made[0].version,
        "accelerator": made[0].accelerator,
    }  # fmt: skip


def _figures(timing):
    (stock, ours), (ratio,) = timing["results"], timing["ratios"]
    keys = ("sha256", "median_ms", "ci95_ms", "rounds")
    return {
        "stock": {key: stock[key] for key in keys},
        "ours": {key: ours[key] for key in keys},
        "speedup": 1 / ratio["ratio"],
        "ci95": [round(1 / ratio["ci95"][1], 3), round(1 / ratio["ci95"][0], 3)],
        "runtime": ours["runtime"],
        "version": ours["version"],
        "threads": ours["threads"],
        "machine": {key: ours["environment"][key] for key in ("cpu", "cores")},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--target", action="append", choices=TARGETS)
    parser.add_argument("--python", default=".venv-tflite/bin/python", help="one that has tflite-runtime 2.14")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", action="store_true", help="one network only: its rows on stdout")
    arguments = parser.parse_args()
    targets = arguments.target or list(TARGETS)
    if arguments.json:
        print(json.dumps(one(arguments.networks[0], targets, arguments.python, arguments.seconds)))
        return
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    rows = {(row["network"], row["target"]): row for row in known}
    for name in arguments.networks or NETWORKS:  # each in a process of its own, for the converter leaks memory
        command = [sys.executable, __file__, name, "--json", "--python", arguments.python, "--seconds",
                   str(arguments.seconds), *(word for target in targets for word in ("--target", target))]  # fmt: skip
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows.update({(row["network"], row["target"]): row for row in json.loads(ran.stdout)})
        order = sorted(rows, key=lambda key: (NETWORKS.index(key[0]) if key[0] in NETWORKS else 99, key[1]))
        RESULTS.write_text(json.dumps([rows[key] for key in order], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
