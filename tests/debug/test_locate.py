"""Figures of `tfeff.debug` against a NumPy network that rounds as the file does, and layers that were made bad."""

import json

import numpy as np
import pytest
from checking_files import edit
from compare_models import convert
from debug_models import CLASSES, LAYERS, SHAPE, images, read_quantized, ruin, run_numpy, weights

from tfeff.debug import Options, debug
from tfeff.debug.result import Constants

pytest_plugins = ["debug_fixtures"]


@pytest.fixture(scope="module")
def found(debug_files):
    return debug(debug_files.int8, float_file=debug_files.float, images=str(debug_files.images))


def by_layer(result):
    assert len(result.layers) == len({row.layer for row in result.layers})
    return {row.layer: row for row in result.layers}


def decibels(real, given):
    return 10 * np.log10(np.sum(np.square(real)) / np.sum(np.square(given - real)))


def per_layer(runs, name):
    return np.stack([run[name] for run in runs])


def test_every_layer_has_an_entry(found):
    rows = by_layer(found)
    assert set(rows) == {"image", *LAYERS}
    assert [row.layer for row in sorted(found.layers, key=lambda r: r.position)] == ["image", *LAYERS]
    shares = [row.error_share for row in found.layers]
    assert shares == sorted(shares, reverse=True)
    json.dumps(found.as_dict(), allow_nan=False)


def test_figures_against_numpy(debug_files, found):
    grids, rounded = read_quantized(debug_files.int8)
    chosen = images(24, 1)
    real = [run_numpy(image, weights()) for image in chosen]
    whole = [run_numpy(image, rounded, grids) for image in chosen]
    for name, row in by_layer(found).items():
        values, given, grid = per_layer(real, name), per_layer(whole, name), grids[name]
        assert row.scale == pytest.approx(grid.scale)
        assert row.zero_point == grid.zero_point
        assert row.sqnr_db == pytest.approx(decibels(values, given), abs=0.1)
        alone = per_layer([run_numpy(i, {**weights(), **pick(rounded, name)}, {name: grid}) for i in chosen], name)
        assert row.local_sqnr_db == pytest.approx(decibels(values, alone), abs=0.1)
        codes = given / grid.scale + grid.zero_point
        assert row.range_use == pytest.approx((np.ptp(codes) + 1) / 256, abs=1 / 256)
        low, high = ((code - grid.zero_point) * grid.scale for code in (-128.5, 127.5))
        assert row.clipped_share == pytest.approx(np.mean((values < low) | (values > high)), abs=1e-5)


def pick(values, name):
    return {name: values[name]} if name in values else {}


def test_error_shares_against_numpy(debug_files, found):
    grids, rounded = read_quantized(debug_files.int8)
    chosen = images(24, 1)
    real = per_layer([run_numpy(image, weights()) for image in chosen], "logits")

    def error(floats=()):
        of = {name: (weights() if name in floats else rounded)[name] for name in rounded}
        on = {name: grid for name, grid in grids.items() if name not in floats}
        return np.mean(np.square(per_layer([run_numpy(image, of, on) for image in chosen], "logits") - real))

    assert found.output_mse == pytest.approx(error(), rel=0.02)
    for name, row in by_layer(found).items():
        assert row.error_share == pytest.approx(1 - error({name}) / error(), abs=0.02), name


def test_the_simulation_is_the_file(debug_files, found):
    assert found.simulation.agrees
    assert found.simulation.same_answers is None  # no record says that these are classes
    assert found.simulation.sqnr_db is None or found.simulation.sqnr_db > found.output_sqnr_db + 6
    assert found.simulation.mean_lsb < 0.1
    assert found.simulation.max_lsb <= 1.01
    assert found.weights == Constants(rounded=8, found=8)
    assert found.simulation.float_sqnr_db is None or found.simulation.float_sqnr_db > 100
    assert (found.reference, found.samples, found.notes) == ("float file", 24, [])


@pytest.mark.parametrize("factor", [0.2, 60], ids=["clipped", "coarse"])
@pytest.mark.parametrize("twin", [True, False], ids=["twin", "alone"])
def test_a_ruined_layer_comes_first(debug_files, factor, twin):
    ruined = ruin(debug_files.int8, ["wide"], factor)
    result = debug(ruined, float_file=debug_files.float if twin else None, images=str(debug_files.images))
    worst, rest = result.layers[0], result.layers[1:]
    assert worst.layer == "wide"
    assert worst.error_share > 0.8
    assert max(row.error_share for row in rest) < 0.2
    assert worst.local_sqnr_db < min(row.local_sqnr_db for row in rest) - 10
    assert (worst.clipped_share > 0.1) == (factor < 1)
    assert (worst.range_use < 0.1) == (factor > 1)
    assert result.reference == ("float file" if twin else "simulation")
    assert any("remain rounded" in note for note in result.notes) != twin


def test_ruined_weights_are_seen_only_against_the_float_file(debug_files):
    def shrink(model):  # one channel of `wide` rounded to almost nothing
        graph = model.subgraphs[0]
        tensor = next(t for t in graph.tensors if t.name.endswith(b"wide_1/convolution"))
        data = model.buffers[tensor.buffer].data.view(np.int8).reshape(8, 8)
        tensor_data = np.where(np.arange(8)[:, None] < 4, np.sign(data) * 64, data)
        model.buffers[tensor.buffer].data = tensor_data.astype(np.int8).reshape(-1).view(np.uint8)

    path = debug_files.int8.with_name("weights.tflite")
    path.write_bytes(edit(debug_files.int8.read_bytes(), shrink))
    result = debug(path, float_file=debug_files.float, images=str(debug_files.images))
    # They are too far from any constant of the float file to be taken for one of them, and that is said.
    assert result.weights == Constants(rounded=8, found=7)
    assert any("not the same function" in note for note in result.notes)
    # So their error shows in the layer's SQNR against the float file's tensor, found by name, not in any share.
    assert {row.reference for row in result.layers if row.op != "INPUT"} == {"float file"}
    real = per_layer([run_numpy(image, weights()) for image in images(24, 1)], "wide")
    grids, rounded = read_quantized(path)
    given = per_layer([run_numpy(image, rounded, grids) for image in images(24, 1)], "wide")
    assert by_layer(result)["wide"].sqnr_db == pytest.approx(decibels(real, given), abs=0.1)


def test_a_pool_on_the_same_grid_goes_with_its_layer(tmp_path, debug_files):
    import keras

    image = keras.Input(SHAPE, batch_size=1, name="image")
    bad = keras.layers.Conv2D(8, 3, name="bad")(image)
    pool = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.AveragePooling2D(2, name="shrink")(bad))
    model = keras.Model(image, keras.layers.Dense(CLASSES, name="logits")(pool), name="net")
    good = convert(model, tmp_path / "pooled.tflite", debug_files.ranges, "int8")
    ruined = ruin(ruin(good, ["bad"], 0.1), ["shrink"], 0.1)
    result = debug(ruined, images=str(debug_files.images))
    assert result.layers[0].layer == "bad"
    assert result.layers[0].error_share > 0.8


def test_operations_of_one_layer_are_one_entry(tmp_path, debug_files):
    import keras

    image = keras.Input(SHAPE, batch_size=1, name="image")
    small = keras.layers.MaxPooling2D(2, name="small")(keras.layers.Conv2D(8, 3, activation="relu", name="conv")(image))
    norm = keras.layers.BatchNormalization(name="norm")
    pool = keras.layers.GlobalAveragePooling2D(name="pool")(norm(small))
    model = keras.Model(image, keras.layers.Dense(CLASSES, name="logits")(pool), name="net")
    norm.set_weights([np.linspace(0.5, 2, 8), np.linspace(-1, 1, 8), np.full(8, 0.3), np.full(8, 2.0)])
    path = convert(model, tmp_path / "norm.tflite", debug_files.ranges, "int8")
    rows = by_layer(debug(path, images=str(debug_files.images)))
    assert set(rows) == {"image", "conv", "norm", "pool", "logits"}  # max-pooling only moves values
    assert rows["norm"].op == "MUL+ADD"
    assert len(rows["norm"].operations) == len(rows["norm"].tensors) == 2
    assert rows["norm"].tensor == rows["norm"].tensors[-1]


@pytest.mark.parametrize(("dtype", "io"), [("int8", "float32"), ("int8", "uint8"), ("int16", None)])
def test_other_ports_and_widths(debug_files, tmp_path, dtype, io):
    path = convert(debug_files.model, tmp_path / "other.tflite", debug_files.ranges, dtype, io)
    result = debug(path, float_file=debug_files.float, images=str(debug_files.images))
    assert set(by_layer(result)) == {"image", *LAYERS}
    assert result.simulation.agrees
    assert result.simulation.max_lsb <= 2.01
    assert result.weights.found == 8
    assert by_layer(result)["image"].op == "INPUT"


def test_one_scale_for_all_channels(debug_files, tmp_path):
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(debug_files.model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in debug_files.ranges)
    converter._experimental_disable_per_channel = True
    path = tmp_path / "per_tensor.tflite"
    path.write_bytes(converter.convert())
    result = debug(path, float_file=debug_files.float, images=str(debug_files.images))
    assert result.weights.found == 8
    assert result.simulation.agrees
    fine = debug(debug_files.int8, float_file=debug_files.float, images=str(debug_files.images))
    assert by_layer(result)["middle"].local_sqnr_db < by_layer(fine)["middle"].local_sqnr_db


def test_operations_in_float_have_no_entry(tmp_path, debug_files):
    import keras

    image = keras.Input(SHAPE, batch_size=1, name="image")
    wave = keras.layers.Lambda(keras.ops.sin, name="wave")(keras.layers.Conv2D(8, 3, name="before")(image))
    pool = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.Conv2D(8, 3, name="after")(wave))
    model = keras.Model(image, keras.layers.Dense(CLASSES, name="logits")(pool), name="net")
    path = tmp_path / "mixed.tflite"
    convert(model, path, debug_files.ranges, "int8")
    result = debug(path, images=str(debug_files.images))
    assert result.simulation.agrees
    rows = by_layer(result)
    assert {"before", "after", "pool", "logits"} <= set(rows)
    assert not any(row.op == "SIN" for row in rows.values())


def test_two_runs_and_any_threads_are_equal(debug_files, found):
    again = debug(
        debug_files.int8, float_file=debug_files.float, images=str(debug_files.images), options=Options(threads=3)
    )
    assert again == found


def test_progress_reaches_its_end(debug_files):
    told = []
    debug(debug_files.int8, images=str(debug_files.images), samples=3, progress=lambda *step: told.append(step))
    assert told[:3] == [("reading layers", n, 3) for n in (1, 2, 3)]
    assert told[-1] == ("switching", 7, 7)
