"""Bundles a trained preset: kernels as float16 or in fewer bits, measured anew on the full test set, with an alias.

python benchmarks/bundle_preset.py runs/vargnet/vargnet_v1_025_g8.fashion_mnist.json --alias vargnet
python benchmarks/bundle_preset.py runs/vovnet/vovnet_27_slim.fashion_mnist.json --alias vovnet --mantissa-bits 6
"""

import argparse
from dataclasses import replace
from pathlib import Path

from tfeff.cli.quiet import import_tensorflow
from tfeff.presets import BUNDLED, load_preset


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset", type=Path)
    parser.add_argument("--alias", action="append", default=[])
    parser.add_argument("--mantissa-bits", type=int, help="of float16's 10, those that kernels keep")
    arguments = parser.parse_args()
    import_tensorflow()
    from tfeff.data import image_port, open_dataset
    from tfeff.training import Batches, top1
    from tfeff.weights import load_weights, save_weights

    trained = load_preset(arguments.preset)
    model = trained.build()
    BUNDLED.mkdir(exist_ok=True)
    weights = BUNDLED / f"{trained.name}.weights.npz"
    save_weights(model, weights, half=True, mantissa_bits=arguments.mantissa_bits)
    load_weights(model, weights)  # what users get, not what was trained
    test = open_dataset(trained.dataset, "test")
    measured = {
        "float_top1": top1(model, Batches(test, [image_port(trained.preprocessing)], 256)),
        "samples": len(test),
    }
    preset = replace(trained, weights=weights, training={**trained.training, **measured})
    preset.write(BUNDLED / f"{trained.name}.json", aliases=arguments.alias)
    size, accuracy = weights.stat().st_size, measured["float_top1"]
    print(f"{preset.name}: {size:,} bytes, top-1 {accuracy:.2f} % on {len(test):,} images "
          f"(trained: {trained.training['float_top1']:.2f} %)")  # fmt: skip


if __name__ == "__main__":
    main()
