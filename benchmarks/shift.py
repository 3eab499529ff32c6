"""What is the fastest form of a shift in an int8 file? Between two pointwise convolutions, in each runtime.

    python benchmarks/shift.py --on local --on python:.venv-tflite/bin/python [--seconds 8] [--only 28] [--json]

All forms of a case are timed in one interleaved run. `of the time without` is against the two convolutions alone. The
weights and shifts are random: time does not depend on the former, and the latter reach as far as learned ones do
(those of the released AS-ResNet-w32 up to 4.7 pixels).
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
from keras import layers

from tfeff.bench import Settings, bench
from tfeff.compare import Runner
from tfeff.data import InputPort
from tfeff.export import quantize
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import rewrite_once
from tfeff.export.rewrites.freeze_shift import depthwise, taps
from tfeff.export.rewrites.slice_shift import slices
from tfeff.layers import ActiveShift2D, GroupShift2D, SparseShift2D
from tfeff.tflite.graph import read_graph

MAPS = ((56, 64), (28, 128), (14, 256), (7, 512))  # size in pixels, channels
INPUTS = 8


def sparse(shape, rng):
    return np.clip(np.round(rng.normal(0, 0.9, shape)), -2, 2)


def active(reach):
    return lambda shape, rng: np.clip(rng.normal(0, reach / 2.8, shape), -reach, reach)


# Name -> layer, what its shifts are drawn from, whether BN and ReLU stand behind it, as in ShiftNet, or before it.
SHIFTS = {
    "grouped 3x3": (lambda: GroupShift2D(3, name="shift"), None, False),
    "grouped 5x5": (lambda: GroupShift2D(5, name="shift"), None, False),
    "grouped 5x5, BN behind": (lambda: GroupShift2D(5, name="shift"), None, True),
    "sparse, to 2": (lambda: SparseShift2D(name="shift"), sparse, False),
    "active, to 1": (lambda: ActiveShift2D(name="shift"), active(1), False),
    "active, to 4.7": (lambda: ActiveShift2D(name="shift"), active(4.7), False),
}
FORMS = {
    "without": lambda x, shift: x,
    "one kernel": lambda x, shift: taps(x, shift, whole_kernel=10**6),
    "column, row": lambda x, shift: taps(x, shift, whole_kernel=1),
    "by reach": lambda x, shift: by_box(x, shift, reach_of),
    "tiles": lambda x, shift: by_box(x, shift, tile_of),
    "slices, gathers": slices,
    "slices": None,  # by the rewrite, which sees the convolutions too
}


def reach_of(pixels):
    """Channels that a 3x3, a 5x5, a 7x7 kernel covers, and the others."""
    return min(max(1, int(np.ceil(np.abs(pixels)).max())), 4)


def tile_of(pixels):
    """Channels whose shifts lie in the same 3x3 pixels: a kernel of 4x4 covers them."""
    return tuple(int(v) for v in np.floor(np.floor(pixels) / 3))


def by_box(x, shift, key):
    """The channels in groups, each with a kernel as large as its own shifts need. The channels are taken to be in the
    order of the groups, which the convolutions around can see to."""
    pixels = shift.pixels()
    keys = [key(column) for column in pixels.T]
    parts, first = [], 0
    for value in sorted(set(keys)):
        own = pixels[:, [each == value for each in keys]]
        parts.append(_moved(x[..., first : first + own.shape[1]], own))
        first += own.shape[1]
    return layers.Concatenate()(parts) if len(parts) > 1 else parts[0]


def _moved(x, pixels):
    """One depthwise convolution with the smallest kernel that covers the shifts."""
    low = np.floor(pixels)
    box = [(int(a), int(b)) for a, b in zip(low.min(axis=1), np.ceil(pixels).max(axis=1), strict=True)]
    x = layers.ZeroPadding2D([(max(-a, 0), max(b, 0)) for a, b in box])(x)
    x = layers.Cropping2D([(max(a, 0), max(-b, 0)) for a, b in box])(x)
    columns, rows = (
        np.where(offsets == low[axis], 1 - (pixels - low)[axis], 0)
        + np.where(offsets == low[axis] + 1, (pixels - low)[axis], 0)
        for axis, offsets in enumerate(np.arange(a, b + 1)[:, None] for a, b in box)
    )
    return depthwise(x, columns[:, None] * rows, padding="valid")


def network(size, channels, kind, form):
    """Two pointwise convolutions with the shift between them, in one of its forms; the same weights in each."""
    make, draw, bn_behind = SHIFTS[kind]
    keras.utils.set_random_seed(0)
    image = keras.Input((size, size, channels // 4 if bn_behind else channels), name="image")
    x = layers.Conv2D(channels, 1, use_bias=False, name="in")(image)
    x = x if bn_behind else _activated(x)
    shift = make()
    moved = shift(x)
    if draw:
        pixels = draw((2, channels), np.random.default_rng(0)).astype("float32")
        shift.set_shifts(pixels) if isinstance(shift, ActiveShift2D) else shift.shift.assign(pixels)
    if FORMS[form]:
        moved = FORMS[form](x, shift)
    x = _activated(moved) if bn_behind else moved
    model = keras.Model(image, layers.Conv2D(image.shape[-1], 1, name="out")(x))
    return model if FORMS[form] else rewrite_once(model, load_rewrite("slice_shift"))[0]


def _activated(x):
    bn = layers.BatchNormalization(name="bn")
    x = bn(x)
    rng = np.random.default_rng(1)
    bn.set_weights([rng.uniform(0.5, 1.5, w.shape) if n in (0, 3) else 0.1 * rng.standard_normal(w.shape)
                    for n, w in enumerate(bn.get_weights())])  # fmt: skip
    return layers.ReLU(name="relu")(x)


def case(size, channels, kind, devices, seconds):
    """All forms of one case: their files, what they lose, and their times in each runtime."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {form: network(size, channels, kind, form) for form in FORMS}
        shape = models["without"].input_shape[1:]
        ports = [InputPort("image", shape)]
        inputs = np.random.default_rng(2).standard_normal((INPUTS, *shape)).astype("float32")
        np.save(folder / "calibration.npy", inputs)
        jobs = []
        for form, model in models.items():
            quantize.write_saved_model(model, folder / form, ports, ["y"])
            jobs.append(quantize.Job(str(folder / form), "int8", "int8", str(folder / f"{form}.tflite")))
        quantize.convert(jobs, {"image": folder / "calibration.npy"}, folder)
        files = {form: Path(job.path) for form, job in zip(FORMS, jobs, strict=True)}
        timing = bench(list(files.values()), devices, Settings(max_seconds=seconds)).as_dict()
        forms = []
        for form, path in files.items():
            graph = read_graph(path)
            assert not graph.float_operations(), path
            own = [result for result in timing["results"] if result["file"] == str(path)]
            ratios = {ratio["device"]: ratio for ratio in timing["ratios"] if ratio["a"] == str(path)}
            forms.append({
                "form": form, "sha256": own[0]["sha256"], "operations": len(graph.operations),
                "snr_db": snr(models[form], path, inputs),
                "results": [
                    {**{key: one[key] for key in ("runtime", "version", "threads", "median_ms", "ci95_ms", "rounds")},
                     "xnnpack": one["kernels"]["xnnpack"],
                     "of_without": [ratios[one["device"]]["ratio"], *ratios[one["device"]]["ci95"]]
                     if form != "without" else None}
                    for one in own
                ],
            })  # fmt: skip
        machine = {key: timing["results"][0]["environment"][key] for key in ("cpu", "cores", "machine", "os")}
    return {"size": size, "channels": channels, "shift": kind, "forms": forms}, machine


def snr(model, path, inputs):
    """Of the int8 file's outputs against Keras', in dB."""
    runner = Runner(path)
    error = power = 0.0
    for image in inputs:
        expected = np.asarray(model(image[None]))
        error += float(((runner(image)["y"].reshape(expected.shape) - expected) ** 2).sum())
        power += float((expected**2).sum())
    return 10 * np.log10(power / error)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", action="append", help="a device; repeat it (default local)")
    parser.add_argument("--seconds", type=float, default=8, help="for each case and device")
    parser.add_argument("--only", type=int, help="maps of that size only")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cases, machine = [], None
    for size, channels in MAPS:
        for kind in SHIFTS if arguments.only in (None, size) else ():
            done, machine = case(size, channels, kind, arguments.on or ["local"], arguments.seconds)
            cases.append(done)
            for form in done["forms"]:
                for one in form["results"]:
                    ratio = f"{one['of_without'][0]:6.2f}" if one["of_without"] else "      "
                    print(f"{size:3d}x{size:<3d} {channels:4d} {kind:23s} {form['form']:16s} {one['runtime']:15s} "
                          f"{one['median_ms']:8.3f} ms {ratio}  {form['operations']:3d} operations  "
                          f"{form['snr_db']:.1f} dB", file=sys.stderr)  # fmt: skip
    if arguments.json:
        print(json.dumps({"inputs": INPUTS, "machine": machine, "cases": cases}, indent=1))


if __name__ == "__main__":
    main()
