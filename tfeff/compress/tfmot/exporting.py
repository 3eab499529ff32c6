"""From a compressed network to an artifact that was looked into: is what was asked for in the file's int8 weights?"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.artifact import open_artifact, read_record, record_path, update_record
from tfeff.compress.tfmot.compress import Compressed
from tfeff.compress.tfmot.kernels import packed_bytes, read_kernels
from tfeff.export import Export, Model, Request, export_model
from tfeff.export.context import Progress, no_progress
from tfeff.export.placing import scratch
from tfeff.record import Record


@dataclass(frozen=True)
class CompressedExport:
    """What came of it.

    Attributes:
        export: as `export_model` gives it; the artifact's record has the entry too.
        entry: what the record says of the compression.
        failed: one line for each promise that the file does not keep.
    """

    export: Export
    entry: dict[str, Any]
    failed: tuple[str, ...]


def export_compressed(
    key: str,
    before: Model,
    compressed: Compressed,
    path: Path,
    request: Request,
    *,
    command: str = "",
    progress: Progress = no_progress,
) -> CompressedExport:
    """Exports a pruned or clustered network, and the one that it was before to compare with.

    Args:
        key: "pruning" or "clustering", the record's entry.
        before: the network before it was compressed; its file is made only to be measured.
        compressed: by `prune` or `cluster`.
        path: the `.tflite` to write.
        request: how it is exported; int8.
        command: the command line, for the record.
        progress: called with (step, done, total).

    Raises:
        TfeffError, GateFailed: as `export_model`.
    """
    with scratch(path) as folder:
        plain = folder / "before.tflite"
        own = replace(request, devices=(), tune=None, max_drop=None, max_latency_ms=None, force=True)
        record_before = export_model(before, plain, own, progress=progress).record
        packed_before, size_before = packed_bytes(plain), plain.stat().st_size
    export = export_model(compressed.model, path, request, command=command, progress=progress)
    entry, failed = describe(key, compressed, path)
    entry |= {
        "size_bytes": {"before": size_before, "after": path.stat().st_size},
        "deflated_bytes": {"before": packed_before, "after": packed_bytes(path)},
        "accuracy": {"before": _figures(record_before), "after": _figures(export.record)},
        "failed": list(failed),
    }
    update_record(open_artifact(path), lambda record: setattr(record, key, entry))
    return CompressedExport(replace(export, record=read_record(record_path(path))), entry, failed)


def describe(key: str, compressed: Compressed, path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What is in the file's weights: the record's entry, and one line for each promise that is not kept."""
    in_file = read_kernels(path, compressed.layers)
    look = {"pruning": _sparsity, "clustering": _values}[key]
    rows, failed = [], []
    for layer, kernel in compressed.layers.items():
        if layer not in in_file:
            failed.append(f"{layer}: not found in the file")
            continue
        row, miss = look(kernel, in_file[layer], compressed.settings)
        rows.append({"layer": layer, "weights": int(in_file[layer].values.size), **row})
        failed += [f"{layer}: {miss}"] if miss else []
    entry = {
        **compressed.settings,
        "losses": compressed.losses,
        "bridge_error": compressed.bridge_error,
        "in_file": _total(key, rows),
        "by_layer": rows,
    }
    return entry, tuple(failed)


def _sparsity(kernel, in_file, settings):
    """A kernel's zeros: as many in the file as in Keras; rounding and rewrites can only add some."""
    share = in_file.zeros / in_file.values.size
    own = float(np.mean(kernel == 0))
    # tfmot rounds the number of weights that it keeps.
    wanted = settings["sparsity"] - 1 / kernel.size
    miss = None if share >= own and own >= wanted else f"{100 * share:.2f} % zeros, {100 * wanted:.2f} % were asked for"
    return {"zeros": in_file.zeros, "sparsity": share}, miss


def _values(kernel, in_file, settings):
    """A kernel's values: no more in any channel than clusters, and 0 where a rewrite has filled up with it."""
    allowed = settings["clusters"] + (in_file.values.size > kernel.size)
    most = in_file.most_values
    row = {"values": len(np.unique(kernel)), "most_values_of_a_channel": most}
    if row["values"] > settings["clusters"]:
        return row, f"{row['values']} values in Keras, {settings['clusters']} were asked for"
    return row, None if most <= allowed else f"{most} values in one channel, {settings['clusters']} were asked for"


def _total(key, rows):
    weights = sum(row["weights"] for row in rows)
    if key == "pruning":
        zeros = sum(row["zeros"] for row in rows)
        return {"layers": len(rows), "weights": weights, "zeros": zeros, "sparsity": zeros / max(1, weights)}
    most = max((row["most_values_of_a_channel"] for row in rows), default=0)
    return {"layers": len(rows), "weights": weights, "most_values_of_a_channel": most}


def _figures(record: Record) -> dict[str, Any] | None:
    """The metric of both files; None where they were not compared."""
    if not record.accuracy:
        return None
    (entry,) = record.accuracy
    return {
        "metric": entry.metric, "unit": entry.unit, "higher_is_better": entry.higher_is_better,
        "float": entry.float_value, "int8": entry.quantized,
    }  # fmt: skip
