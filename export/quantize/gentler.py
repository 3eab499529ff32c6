"""What rewrites cost that round once more in int8: speed is no reason to be farther from float than without them."""

from tfeff.calibration import Activations, Judge
from tfeff.export.quantize.int8_file import Int8File
from tfeff.export.quantize.measuring import Measured, made_of
from tfeff.export.quantize.trial import Trial

_SAMPLES = 256
_ALLOWED_DB = 0.2  # of an output's SQNR

Chosen = tuple[Int8File, Trial, Measured]


def cost(rounding: Chosen, gentle: Chosen) -> str | None:
    """A note on what the rewrites cost, where that is more than 0.2 dB of some output's SQNR; None where it is not.

    Both files are as they would be exported, of all samples; on up to 256 of them they are held against float.

    Args:
        rounding: the file with all rewrites, what it was tried with, and what was chosen for it.
        gentle: the same without those that round once more.
    """
    int8, trial, measured = gentle
    _, trial, measured = gentle
    calibration = measured.calibration
    network = Activations(trial.as_it_was(calibration).path)
    judge = Judge(network, calibration, calibration.typical(_SAMPLES), ())
    found = []
    for int8, tried, chosen in (rounding, gentle):
        found.append(judge(tried.run_file(*made_of(chosen, tried, int8))).sqnr_db())
    worse = {name: ratio - found[0][name] for name, ratio in found[1].items() if ratio - found[0][name] > _ALLOWED_DB}
    if not worse:
        return None
    name = max(worse, key=lambda each: worse[each])
    return (
        f"rewrites that round once more in int8 (for speed) were left out: with them the SQNR of {name} is "
        f"{found[0][name]:.1f} dB, without {found[1][name]:.1f}"
    )
