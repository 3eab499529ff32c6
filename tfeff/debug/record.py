"""What a record keeps of `debug`: the layers along the network, for reports."""

from typing import Any

from tfeff.artifact import Artifact, update_record
from tfeff.errors import TfeffError

_WHOLE = ("sha256", "float_sha256", "reference", "images", "samples", "output_sqnr_db", "notes", "runtime", "version")
_EXACT = ("position", "layer", "op")
_ROUNDED = ("scale", "zero_point", "range", "seen", "sqnr_db", "local_sqnr_db", "range_use", "clipped_share",
            "error_share", "error_share_se")  # fmt: skip


def debug_entry(result: dict[str, Any]) -> dict[str, Any]:
    """What a record keeps of what `debug` gave: the layers in the network's order, figures of 5 digits."""
    layers = sorted(result["layers"], key=lambda row: row["position"])
    return {
        **{key: result[key] for key in _WHOLE},
        "simulation": {key: result["simulation"][key] for key in ("agrees", "top1_agreement")},
        "layers": [
            {**{key: row[key] for key in _EXACT}, **{key: _round(row[key]) for key in _ROUNDED}} for row in layers
        ],
    }


def record_debug(artifact: Artifact, result: dict[str, Any]) -> bool:
    """Writes what `debug` gave as `debug` into the artifact's record; False when it has none.

    Raises:
        TfeffError: the result was measured on another file, or the record cannot be written.
    """
    if result["sha256"] != artifact.sha256:
        raise TfeffError(f"{artifact.path}: changed while it was debugged (sha256 differs)", "debug it again")
    return update_record(artifact, lambda record: record.update(debug=debug_entry(result)))


def _round(value):
    if isinstance(value, list):
        return [_round(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
