"""What a record keeps of `tfeff debug`."""

import json
from dataclasses import replace

import pytest
from cli_runner import assert_refused, tfeff
from debug_models import debug_result, layer_error

from tfeff.artifact import open_artifact, read_record
from tfeff.debug import debug
from tfeff.debug.record import debug_entry, record_debug
from tfeff.errors import TfeffError
from tfeff.record import to_dict
from tfeff.report import read_reported, report

pytest_plugins = ["debug_fixtures"]


def test_layers_are_kept_along_the_network(artifact, capfd):
    """Into a record of schema 1, which is one of schema 2 afterwards."""
    before = read_record(artifact.with_suffix(".json"))
    ran = tfeff(capfd, "debug", artifact, "--record", "--json", "-q", "--samples", 6)
    assert ran.code == 0, ran.err
    after = read_record(artifact.with_suffix(".json"))
    kept, after.debug = after.debug, None
    assert after == before
    assert (kept.sha256, kept.samples, kept.output) == (before.sha256, 6, None)
    assert [port.name for port in kept.ports] == [port["name"] for port in ran.json["ports"]]
    assert kept.simulation.same_answers == ran.json["simulation"]["same_answers"] == 1
    rows = {row["position"]: row for row in ran.json["layers"]}
    assert [row.position for row in kept.layers] == sorted(rows)
    for row in kept.layers:
        whole = rows[row.position]
        assert (row.layer, row.op) == (whole["layer"], whole["op"])
        assert row.error_share == pytest.approx(whole["error_share"], rel=1e-4)
        # The range again from the grid: 256 levels, one step apart.
        low, high = row.range
        assert (high - low) / 255 == pytest.approx(whole["scale"], rel=1e-3)
        assert low == pytest.approx((-128 - whole["zero_point"]) * whole["scale"], rel=1e-3, abs=1e-6)
        assert low <= row.seen[0] + 1e-3 * abs(low)
        assert row.seen[1] <= high + 1e-3 * abs(high)
        levels = round((row.seen[1] - row.seen[0]) / whole["scale"]) + 1
        if len(whole["tensors"]) == 1:
            assert row.range_use == pytest.approx(levels / 256, abs=2e-3)


def test_a_report_shows_them(artifact):
    opened = open_artifact(artifact)
    assert record_debug(opened, debug(artifact, samples=4))
    (subject,) = read_reported([artifact], verify=True)
    text = report([subject])
    assert "<code>tfeff debug net.int8.tflite --record</code>" not in text
    assert 'scope="row" class="mono">wide</th>' in text  # the layer that was ruined


def test_nothing_is_written_for_another_file_or_without_a_record(artifact, capfd):
    with pytest.raises(TfeffError, match="changed while it was debugged"):
        record_debug(open_artifact(artifact), debug_result([]))
    artifact.with_suffix(".json").unlink()
    assert_refused(tfeff(capfd, "debug", artifact, "--record"), "has no record to write into")
    assert not artifact.with_suffix(".json").exists()


def test_figures_of_five_digits_and_json():
    row = layer_error(sqnr_db=1 / 3, zero_point=-7, seen=(-1 / 3, 2 / 3), error_share=1e-9 / 3)
    whole = debug_result([replace(row, position=1), row], output="scores", output_sqnr_db=1 / 3)
    kept = json.loads(json.dumps(to_dict(debug_entry(whole)), allow_nan=False))
    assert [each["position"] for each in kept["layers"]] == [0, 1]
    first = kept["layers"][0]
    assert (first["sqnr_db"], first["seen"], first["zero_point"]) == (0.33333, [-0.33333, 0.66667], -7)
    assert first["error_share"] == 3.3333e-10
    assert "tensors" not in first
    assert (kept["output"], kept["output_sqnr_db"]) == ("scores", 1 / 3)
