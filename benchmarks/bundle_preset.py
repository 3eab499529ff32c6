"""Bundles a trained preset: kernels as float16 or in fewer bits, measured anew on the full test set, with an alias.

python benchmarks/bundle_preset.py runs/vargnet/vargnet_v1_025_g8.fashion_mnist.json --alias vargnet
python benchmarks/bundle_preset.py runs/vovnet/vovnet_27_slim.fashion_mnist.json --alias vovnet --mantissa-bits 6
"""

import argparse
from dataclasses import replace
from pathlib import Path

from tfeff.cli.quiet import import_tensorflow
from tfeff.presets import BUNDLED, FIGURES, load_preset


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset", type=Path)
    parser.add_argument("--alias", action="append", default=[])
    parser.add_argument("--mantissa-bits", type=int, help="of float16's 10, those that kernels keep")
    arguments = parser.parse_args()
    import_tensorflow()
    import msgspec

    from tfeff.data import image_port, open_dataset
    from tfeff.networks import get_network
    from tfeff.training.base import get_training
    from tfeff.weights import load_weights, save_weights

    trained = load_preset(arguments.preset)
    model = trained.build()
    BUNDLED.mkdir(exist_ok=True)
    weights = BUNDLED / f"{trained.name}.weights.npz"
    save_weights(model, weights, half=True, mantissa_bits=arguments.mantissa_bits)
    load_weights(model, weights)  # what users get, not what was trained
    test = open_dataset(trained.dataset, "test")
    spec = get_network(trained.network).meaning(model, **trained.arguments)
    spec = msgspec.structs.replace(spec, labels=list(trained.labels))
    judge = get_training(trained.network).judge(test, image_port(trained.preprocessing), spec)
    measured = {**{f"float_{key}": value for key, value in judge(model).items()}, "samples": len(test)}
    preset = replace(trained, weights=weights, training={**trained.training, **measured})
    preset.write(BUNDLED / f"{trained.name}.json", aliases=arguments.alias)
    told = ", ".join(
        f"{name} {measured[f'float_{key}']:.2f} % (trained: {trained.training[f'float_{key}']:.2f} %)"
        for key, name in FIGURES.items() if f"float_{key}" in measured
    )  # fmt: skip
    print(f"{preset.name}: {weights.stat().st_size:,} bytes, {told} on {len(test):,} images")


if __name__ == "__main__":
    main()
