"""Trains and bundles a preset of every family in its smallest width on Fashion-MNIST, and two detectors on scenes of
its items, by one command each.

python benchmarks/train_presets.py [FAMILY ...] [--jobs 2]

Seeded and resumable, as `tfeff train` is: run it again after a kill and it goes on. Runs lie in `runs/FAMILY`; a family
whose run is whole is only bundled again.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Family, which is the preset's alias -> network, epochs, further options. The epochs are what two cores have time for,
# not what would be best: the dense networks cost twenty times as much a step as the mobile ones. In few epochs images
# that are moved far cost accuracy.
PRESETS = {
    "vargnet": ("vargnet_v1_025_g8", 24, ()),
    "shufflenet_v2": ("shufflenet_v2_x050", 16, ("--move", "0.0625")),
    "espnet_v2": ("espnet_v2_050", 16, ("--move", "0.0625")),
    "vovnet": ("vovnet_27_slim", 3, ("--no-augment",)),
    "pp_lcnet": ("pp_lcnet_025", 16, ("--move", "0.0625")),
    "mobilenet_v3": ("mobilenet_v3_small_075", 10, ("--move", "0.0625", "--batch-size", "64")),
    "shiftnet": ("shiftnet_c", 6, ("--move", "0.0625", "--batch-size", "64")),
    "mobilenet_v2": ("mobilenet_v2_035", 8, ("--move", "0.0625", "--batch-size", "64")),
    "mobilenet_v1": ("mobilenet_v1_025", 16, ("--move", "0.0625")),
    "fe_net": ("fe_net_060", 4, ("--move", "0.0625", "--batch-size", "64")),
    "as_resnet": ("as_resnet_w32", 5, ("--move", "0.0625", "--batch-size", "64")),
    "ghostnet": ("ghostnet_050", 6, ("--move", "0.0625", "--batch-size", "64")),
    "vargfacenet": ("vargfacenet", 1, ("--no-augment", "--batch-size", "64")),
}
# What begins with the layers of a preset above needs that to be bundled.
_DETECTOR = ("--option", "small_image=true", "--input-size", "96", "--batch-size", "16", "--learning-rate", "0.003",
             "--warm-up", "0.2", "--no-augment")  # fmt: skip
DETECTORS = {
    "pico_det": ("pico_det_pp_lcnet_025", 4, ("--backbone", "pp_lcnet", *_DETECTOR)),
    "ssdlite_vargnet": ("ssdlite_vargnet_v1_025_g8", 4, ("--backbone", "vargnet", *_DETECTOR)),
}
# What kernels keep of float16's 10 bits, so that all presets together stay under 20 MB; VarGNet keeps all of them.
_MANTISSA_BITS = {family: 6 for family in PRESETS if family != "vargnet"} | {"vargfacenet": 5}


def train_command(family: str) -> list[str]:
    """The words of the documented command that trains the preset of that family."""
    network, epochs, options = {**PRESETS, **DETECTORS}[family]
    words = ["tfeff", "train", network, "--dataset", _dataset(family), "--epochs", str(epochs), *options]
    return [*words, "--out", f"runs/{family}"]


def _dataset(family):
    return "fashion_scenes" if family in DETECTORS else "fashion_mnist"


def main():
    known = {**PRESETS, **DETECTORS}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"one of {', '.join(known)}; all without")
    parser.add_argument("--jobs", type=int, default=2, help="trainings side by side, each on a core (default 2)")
    arguments = parser.parse_args()
    unknown = set(arguments.families) - set(known)
    if unknown:
        parser.error(f"no preset of {', '.join(sorted(unknown))}; one of {', '.join(known)}")
    families = arguments.families or list(known)
    with ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        failed = [family for family, failed in zip(families, pool.map(_make, families), strict=True) if failed]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; see runs/FAMILY.log")


def _make(family):
    threads = dict.fromkeys(("TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS"), "1")
    scripts = Path(sys.executable).parent
    _, _, network, *_ = train_command(family)
    log = Path(f"runs/{family}.log")
    log.parent.mkdir(exist_ok=True)
    tfeff, *words = train_command(family)
    preset = f"runs/{family}/{network}.{_dataset(family)}.json"
    bundle = [sys.executable, str(Path(__file__).with_name("bundle_preset.py")), preset, "--alias", family]
    bundle += ["--mantissa-bits", str(_MANTISSA_BITS[family])] if family in _MANTISSA_BITS else []
    with log.open("a") as file:
        return any(
            subprocess.run(command, env=os.environ | threads, stdout=file, stderr=subprocess.STDOUT).returncode
            for command in ([str(scripts / tfeff), *words], bundle)
        )


if __name__ == "__main__":
    main()
