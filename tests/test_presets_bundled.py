"""Every bundled preset: trained, small, and exported by one command as the README says."""

import json

import pytest
from cli_runner import tfeff

from tfeff.networks import index
from tfeff.presets import aliases, list_presets, load_preset

PRESETS = sorted(list_presets())
FAMILIES = {entry["family"] for entry in index().values()}
FACES = "vargfacenet"  # has no face images here; its accuracy means little


def test_every_family_has_one_under_its_own_name():
    assert {alias: load_preset(name).network for alias, name in aliases().items()}.keys() == FAMILIES
    assert len(PRESETS) == len(FAMILIES)
    for alias, name in aliases().items():
        assert index()[load_preset(name).network]["family"] == alias


def test_all_of_them_are_small():
    assert sum(load_preset(name).weights.stat().st_size for name in PRESETS) < 20e6
    assert load_preset("vargnet").weights.stat().st_size < 1.5e6  # the first command's


@pytest.mark.parametrize("name", PRESETS)
def test_is_the_smallest_of_its_family_in_the_small_form(name):
    preset = load_preset(name)
    family = index()[preset.network]["family"]
    sizes = {
        other: entry["counted"]["parameters"]
        for other, entry in index().items()
        if entry["family"] == family and not other.startswith("shiftresnet")  # which shares ShiftNet's file
    }
    # Of VarGNet it is the one of the README's first command.
    assert preset.network == ("vargnet_v1_025_g8" if family == "vargnet" else min(sizes, key=sizes.get))
    assert preset.preprocessing.shape == (32, 32, 3)
    assert preset.arguments["small_image"] is True


@pytest.mark.parametrize("name", PRESETS)
def test_is_trained_well_enough(name):
    """As recorded; that the record is true is seen on the sample in `test_presets.py`."""
    preset = load_preset(name)
    assert preset.training["samples"] == 10_000
    assert preset.training["float_top1"] >= (0 if preset.network == FACES else 90)


@pytest.mark.parametrize("alias", sorted(FAMILIES))
def test_export_by_the_family_s_name(capfd, tmp_path, alias):
    """As a user types it: no --dataset and no --calibration, which the preset knows."""
    ran = tfeff(capfd, "export", alias, "--int8", "--no-bench", "--evaluation-samples", "256", "--samples", "128",
                "--out", tmp_path, "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    (record,) = (json.loads(path.read_text()) for path in tmp_path.glob("*.json"))
    assert record["preset"] == aliases()[alias]
    assert record["ops"]["float"] == []
    assert record["float_twin"]["relative_error"] < 1e-4
    assert record["accuracy"]["samples"] == 256
    assert record["accuracy"]["quantized_top1"] > record["accuracy"]["float_top1"] - 5
