"""The table at the end of an export."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfeff.record import words
from tfeff.record.schema import PortAgreement, Quantization, Record

if TYPE_CHECKING:
    from tfeff.bench import Outcome, Result
    from tfeff.cli.output import Output
    from tfeff.export import Export

Rows = Iterator[tuple[str, str]]
_COLUMNS = ["device", "runtime", "float twin, ms", "of the float time", "XNNPACK"]
_NAMED = 5  # layers


def show(export: "Export", out: "Output") -> None:
    """Prints what came of an export."""
    record = export.record
    rows = [
        *_unproven_rows(record),
        *_file_rows(export),
        *_rewrite_rows(record),
        *_check_rows(record),
        *_calibration_rows(record),
        *_step_rows(record),
        *_training_rows(record.quantization),
        *_simulation_rows(record.quantization),
        *_accuracy_rows(record),
        *_port_rows(record),
    ]
    out.facts(f"{record.name} -> {export.path.name}", rows)
    if export.latency:
        columns = [*_COLUMNS[:3], f"{record.precision}, ms", *_COLUMNS[3:]]
        out.table("latency, median and 95 % interval", columns, _latency_rows(export.latency))
    for note in (*record.notes, *_timing_notes(export)):
        out.say(f"note: {note}")
    if any(entry.dataset == "fashion_mnist_sample" for entry in record.accuracy):
        out.say("compared on the bundled sample: the full set was not found (docs/data.md says how to get it)")


def _unproven_rows(record: Record) -> Rows:
    """What must not be overlooked: units of the file that are not what was simulated."""
    proof = record.quantization.simulation if record.quantization is not None else None
    if proof is not None and (text := words.unproven(proof)):
        yield "NOT PROVEN", text


def _file_rows(export: "Export") -> Rows:
    record = export.record
    ops, twin = record.ops, record.float_twin
    if ops is None or twin is None:
        return  # an export tells both
    dtypes = [" and ".join(dict.fromkeys(port.dtype for port in ports)) for ports in (record.inputs, record.outputs)]
    doors = f"input and output {dtypes[0]}" if dtypes[0] == dtypes[1] else f"input {dtypes[0]}, output {dtypes[1]}"
    yield "file", f"{export.path}  sha256 {record.sha256[:12]}"
    yield "precision", f"{record.precision} for {record.target}, {doors}"
    yield "size", f"{record.size_bytes:,} bytes; float twin {twin.size_bytes:,}"
    yield "operations", f"{ops.total}, {ops.int8} int8, {len(ops.float_)} float"
    yield "float file", f"equals Keras within {twin.relative_error:.1e} of the largest output"
    if record.proof is not None and record.proof.links:
        yield "proof", words.chain(record.proof.links)
        yield "", f"differences over the largest output, on {record.proof.inputs} of {record.proof.source}"


def _rewrite_rows(record: Record) -> Rows:
    for rewrite in record.rewrites:
        form = f": {rewrite.form}" if rewrite.form else ""
        yield (
            "rewrite",
            f"{rewrite.name}{form}, {rewrite.places} places, largest difference {rewrite.max_abs_error:.1e}",
        )


def _check_rows(record: Record) -> Rows:
    """What the target makes of the file, and what its compiler estimated."""
    check, compiled = record.check, record.compiled
    if check is None:
        return  # an export has been checked
    yield check.target, f"takes {check.mapped} of {check.total} operations, {check.basis}"
    for row in check.operations:
        if row.status != "mapped":
            yield "", f"{row.count} {row.op} {row.status}: {row.reason}"
    if compiled is not None:
        yield "compiled", f"{compiled.file}  sha256 {compiled.sha256[:12]}"
        figures = compiled.estimates or {}
        if figures.get("cycles"):
            yield (
                "  estimate",
                f"{figures['cycles']:,} cycles, {figures['inference_ms']:.3f} ms, "
                f"{figures['sram_bytes'] / 1024:,.0f} KiB of SRAM on {compiled.accelerator}, by {compiled.compiler}'s "
                "model",
            )


def _calibration_rows(record: Record) -> Rows:
    from tfeff.calibration import text_of

    used = record.calibration
    if used is not None:
        kind = "images" if record.images else "samples"
        chosen = f", chosen on {used.held_out} held out" if used.held_out and used.tried else ""
        yield "calibration", f"{used.used} {kind} of {used.source}, ranges by {used.method}{chosen}"
        yield from (("", text_of(each)) for each in used.findings)


def _step_rows(record: Record) -> Rows:
    """What each step of quantization that could be left out did on samples held out, and whether it was kept."""
    done = record.quantization
    for word, told in (
        ("equalization", done and done.equalization),
        ("bias correction", done and done.bias_correction),
        ("weight rounding", done and done.weight_rounding),
    ):
        held = told.get("held_out") if told else None
        if not told or not held:
            continue
        moved = f"loss {held['before']:.3g} -> {held['after']:.3g} on {held['samples']} held out"
        why = f"; {told['why']}" if "why" in told else ""
        yield word, f"{'kept' if told['kept'] else 'left out'}, {moved} ({held['criterion']}){why}"


def _training_rows(quantization: Quantization | None) -> Rows:
    """What `tfeff qat` did."""
    training = quantization.training if quantization is not None else None
    if training is None:
        return
    yield "trained", f"{training['steps']} steps of {training['batch_size']} by {training['engine']}"
    if training["engine"] == "tfeff":
        first, best = training["history"][0], training["history"][training["best_epoch"]]
        yield (
            "",
            f"epoch {best['epoch']} of {training['epochs']} kept, loss on samples held out "
            f"{first['held_out_loss']:.5f} before, {best['held_out_loss']:.5f} then",
        )


def _simulation_rows(quantization: Quantization | None) -> Rows:
    """How the int8 file agrees with what was simulated."""
    proof = quantization.simulation if quantization is not None else None
    if quantization is None or proof is None:
        return
    agree = (proof.units or 0) - len(proof.beyond)
    text = f"{agree} of {proof.units} units of the file equal it within 1 step of int8"
    if moved := len(proof.rescaled) + len(proof.missing):
        text += f"; {moved} scales are not as planned"
    yield "simulation", text
    kept = quantization.kept_float
    if kept is not None and kept.allowed:
        left = [*kept.left, *(kept.layers if kept.all_int8 is None else ())]
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        yield "allowed in float", f"{len(left)} by --allow-float: {', '.join(left[:_NAMED])}{more}"
    if kept is not None and kept.layers and kept.all_int8 is not None:
        more = f" and {len(kept.layers) - _NAMED} more" if len(kept.layers) > _NAMED else ""
        names = ", ".join(kept.layers[:_NAMED]) + more
        yield "kept in float", f"{len(kept.layers)} layers for --max-drop: {names}"
        for entry in kept.all_int8 or []:
            yield "", f"all in int8 the difference is {words.difference(entry.delta, entry.unit)}"
        for each in kept.latency:
            low, high = each.ci95
            yield "", f"takes {each.ratio:.2f} [{low:.2f}, {high:.2f}] of the time of all in int8 on {each.device}"


def _accuracy_rows(record: Record) -> Rows:
    if not record.accuracy:
        yield "accuracy", f"not compared: {_why_not_compared(record)}"
    for entry in record.accuracy:
        kind = "images" if record.images else "samples"
        of = f" of {', '.join(entry.outputs)}" if len(record.tasks) > 1 else ""
        yield "accuracy", f"on {entry.samples:,} {kind} of {entry.dataset}"
        yield f"  float {entry.metric}{of}", words.figure(entry.float_value, entry.unit)
        yield f"  quantized {entry.metric}{of}", words.figure(entry.quantized, entry.unit)
        test = f", {(entry.test or 'test').partition(',')[0]} p {entry.p:.2g}" if entry.p is not None else ""
        yield "  difference", f"{words.difference(entry.delta, entry.unit)}, 95 % {words.interval(entry)}{test}"
        if "flips" in entry.details:
            yield "  flipped", f"{entry.details['flips']:.2f} % of the predictions"


def _why_not_compared(record: Record) -> str:
    from tfeff.tasks import get_task

    if all(get_task(spec.name).metric(spec) is None for spec in record.tasks):
        return "what the outputs mean is not known, so there is no metric"
    return "random weights" if record.weights == "random" else "no --dataset with labels was given"


def _port_rows(record: Record) -> Rows:
    """How each output of the file agrees with the model that was brought, and with the float file on other samples."""
    ends = {port.name: port for port in record.ports if port.reference == "model"}
    for port in ends.values():
        yield f"output {port.name}", _port_text(port)
    for port in record.ports:
        end = ends.get(port.name)
        if end is None or (port is not end and (port.samples, port.source) != (end.samples, end.source)):
            yield f"output {port.name}", _port_text(port)


def _port_text(port: PortAgreement) -> str:
    ratio = words.sqnr(port)
    told = [f"SQNR {ratio}" if port.sqnr_db is not None else ratio, words.likeness(port)]
    if port.same_answers is not None:
        told.append(f"{100 * port.same_answers:.4g} % of the answers the same")
    return f"to the {port.reference}: {', '.join(each for each in told if each)}, on {port.samples:,} of {port.source}"


def _latency_rows(timed: "Outcome") -> list[list[str]]:
    rows = []
    for twin, own in _pairs(timed):
        ratios = [ratio for ratio in timed.ratios if ratio.device == own.device]
        ratios_in_words = [f"{r.ratio:.2f} [{r.ci95[0]:.2f}, {r.ci95[1]:.2f}], {r.verdict}" for r in ratios]
        rows.append(
            [
                own.device,
                f"{own.runtime} {own.version}, {own.threads} thread{'s' * (own.threads > 1)}",
                _time(twin),
                _time(own),
                ratios_in_words[0] if ratios_in_words else "",  # none with a void one
                own.kernels.xnnpack or "unknown",
            ]
        )
    return rows


def _time(result: "Result") -> str:
    if result.times is None:
        return "void: WRONG answer"
    low, high = result.times.ci95_ms
    return f"{result.times.median_ms:.3f} [{low:.3f}, {high:.3f}]"


def _pairs(timed: "Outcome") -> "Iterator[tuple[Result, Result]]":
    """(float twin, file) on each device; in `results` they stand in that order."""
    return zip(timed.results[::2], timed.results[1::2], strict=True)


def _timing_notes(export: "Export") -> list[str]:
    """What a reader of the times must know; not for the record, for it may name places on this machine."""
    if export.latency is None:
        return []
    notes = list(export.latency.warnings)
    if export.record.precision == "float32":
        return notes
    runtimes = {result.device: result.runtime for result in export.latency.results}
    for ratio in export.latency.ratios:
        if ratio.verdict == "slower":
            note = f"{ratio.device}: quantizing made it slower in {runtimes[ratio.device]} on this machine"
            if runtimes[ratio.device] != "ai-edge-litert" and export.record.target == "litert":
                note += "; --target tflite-runtime makes a file for that runtime"
            notes.append(note)
    return notes
