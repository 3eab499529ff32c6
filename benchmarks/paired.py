"""Right or wrong before and after, for benchmarks that measure files without a record."""

import numpy as np

from tfeff.tasks.statistics import mcnemar, mean_interval


def paired_top1(before: np.ndarray, after: np.ndarray, seed: int = 0) -> dict:
    """The same figures as `tfeff compare` gives of top-1.

    Args:
        before, after: bool (n,), whether each image was classified rightly.
        seed: of the bootstrap.

    Returns:
        `float_top1`, `quantized_top1` (percent), `delta` (points), `ci95` and `mcnemar_p`.
    """
    change = after.astype(np.float64) - before
    return {
        "float_top1": 100 * int(before.sum()) / len(before),
        "quantized_top1": 100 * int(after.sum()) / len(after),
        "delta": 100 * float(change.sum()) / len(change),
        "ci95": list(mean_interval(change, 100.0, seed)),
        "mcnemar_p": mcnemar(int((change < 0).sum()), int((change > 0).sum())),
    }


def classes_of(runner, inputs) -> np.ndarray:
    """The class that a file of one input and one list of scores gives each, int64 (n,)."""
    return np.array([int(next(iter(runner(each).values())).argmax()) for each in inputs])
