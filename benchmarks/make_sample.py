"""Makes the bundled Fashion-MNIST sample: 1,024 test and 512 calibration images, every class alike, seeded.

python benchmarks/make_sample.py
"""

import numpy as np

from tfeff.data.fashion_mnist import SAMPLE_PATH, load_fashion_mnist


def draw(labels, count, rng):
    """Numbers of `count` images with the classes as even as `count` allows, sorted."""
    per_class, extra = divmod(count, 10)
    chosen = [rng.choice(np.flatnonzero(labels == c), per_class + (c < extra), replace=False) for c in range(10)]
    return np.sort(np.concatenate(chosen))


def main():
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("test", 1024), ("train", 512)):
        full = load_fashion_mnist(split)
        numbers = draw(full.labels, count, rng)
        arrays |= {
            f"{split}_images": full.images[numbers],
            f"{split}_labels": full.labels[numbers].astype(np.uint8),
            f"{split}_numbers": numbers.astype(np.uint16),
        }
    SAMPLE_PATH.parent.mkdir(exist_ok=True)
    np.savez_compressed(SAMPLE_PATH, **arrays)
    print(f"{SAMPLE_PATH}: {SAMPLE_PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
