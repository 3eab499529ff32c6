"""Float `.tflite` files as the model: the int8 file against the stock converter's of the same Keras network, the chain
of the proof, the record; and SavedModels and files that take bytes."""

import hashlib
from dataclasses import dataclass
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from cli_runner import assert_refused, tfeff
from float_files import converted
from keras import layers

from tfeff.artifact import open_artifact
from tfeff.cli.source import Source
from tfeff.cli.user_model import build_user_model
from tfeff.compare import Runner
from tfeff.errors import TfeffError
from tfeff.export import Request, export_model
from tfeff.layers import GroupConv2D

SLACK_DB = 0.3
# The U-Net comes out 0.6 dB below the stock file, and to the tenth so from its `.keras` file: it is our quantizer's.
SLACK_OF = {"unet": 0.8}
SAMPLES, HELD = 48, 512


def conv(x, filters, activation="relu", **options):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, **options)(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


def head(x, units=5):
    return layers.Dense(units, name="out")(layers.GlobalAveragePooling2D()(x))


def plain(x):
    return head(layers.MaxPooling2D()(conv(conv(x, 8), 12, strides=2)))


def residual(x):
    """Inverted bottlenecks, as MobileNetV2 has them."""
    x = conv(x, 8, "relu6", strides=2)
    for _ in range(2):
        y = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(24, 1, use_bias=False)(x)))
        y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y)
        y = layers.Conv2D(8, 1)(layers.ReLU(6.0)(layers.BatchNormalization()(y)))
        x = layers.Add()([x, y])
    return head(x)


def gated(x):
    """Hard-swish, and squeeze and excitation, as MobileNetV3 has them."""
    x = conv(x, 12, "hard_silu", strides=2)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(12, 1, activation="hard_sigmoid")(layers.Conv2D(4, 1, activation="relu")(gate))
    return head(conv(layers.Multiply()([x, gate]), 16, "hard_silu"))


def grouped(x):
    x = conv(x, 12, strides=2)
    x = layers.ReLU()(layers.BatchNormalization()(GroupConv2D(18, 3, 4, padding="same", use_bias=False)(x)))
    return head(x)


def unet(x):
    a = conv(x, 8)
    b = conv(conv(layers.MaxPooling2D()(a), 12), 12)
    c = conv(layers.MaxPooling2D()(b), 16)
    up = layers.Conv2DTranspose(12, 2, strides=2)(c)
    up = conv(layers.Concatenate()([b, up]), 12)
    up = conv(layers.Concatenate()([a, layers.UpSampling2D(2, interpolation="bilinear")(up)]), 8)
    return layers.Conv2D(2, 1, name="out")(up)


def two_heads(x):
    x = conv(x, 8, strides=2)
    return {"kind": head(x), "map": layers.Conv2D(3, 1, name="map")(conv(x, 8))}


def slopes(x):
    x = layers.PReLU(shared_axes=[1, 2], alpha_initializer=keras.initializers.RandomUniform(-0.2, 0.6))(
        conv(x, 8, None)
    )
    return head(conv(x, 12, None, strides=2))


NETWORKS = {"plain": plain, "residual": residual, "gated": gated, "grouped": grouped, "unet": unet,
            "two_heads": two_heads, "slopes": slopes, "halves": residual}  # fmt: skip


@dataclass
class Made:
    """A network, its file, samples that nobody was shown, and what came of the file."""

    name: str
    keras: keras.Model
    path: object
    held: np.ndarray
    samples: np.ndarray
    export: object


def samples(count, seed):
    random = np.random.default_rng(seed)
    size = random.gamma(4, 0.25, (count, 1, 1, 1))
    return np.clip(random.normal(size=(count, 16, 16, 3)) * size, -2, 2).astype(np.float32)


def settle(model, given):
    """Batch normalization as training leaves it, all layers in one run."""
    random = np.random.default_rng(2)
    for layer in [each for each in model.layers if isinstance(each, layers.BatchNormalization)]:
        before = keras.Model(model.inputs, layer.input)(given, training=False)
        mean, variance = (np.asarray(each) for each in keras.ops.moments(before, (0, 1, 2)))
        count = len(mean)
        layer.set_weights([random.uniform(0.6, 1.4, count), random.normal(0, 0.3, count), mean, variance])


@pytest.fixture(scope="module", params=NETWORKS)
def made(request, tmp_path_factory):
    keras.utils.set_random_seed(5)
    image = keras.Input((16, 16, 3), name="photo")
    model = keras.Model(image, NETWORKS[request.param](image))
    shown, held = samples(SAMPLES, 0), samples(HELD, 1)
    settle(model, shown)
    folder = tmp_path_factory.mktemp(request.param)
    path = converted(model, folder / "m.tflite", float16=request.param == "halves")
    np.savez(folder / "shown.npz", photo=shown)
    wanted = Request(calibration=str(folder / "shown.npz"), allow_audit=True, devices=())
    export = export_model(build_user_model(Source(str(path))), folder / "m.int8.tflite", wanted)
    return Made(request.param, model, path, held, shown, export)


def ratios(model, held, given):
    """SQNR of each output against Keras, by name."""
    wanted = model(held, training=False)
    wanted = wanted if isinstance(wanted, dict) else {"output_0": wanted}
    found = {}
    for name, value in wanted.items():
        value = np.asarray(value, float)
        found[name] = 10 * np.log10((value**2).sum() / ((given[name].reshape(value.shape) - value) ** 2).sum())
    return found


def stock(made):
    """What the stock converter's int8 file of the Keras model gives."""
    converter = tf.lite.TFLiteConverter.from_keras_model(made.keras)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample[None]] for sample in made.samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    path = made.path.with_name("stock.tflite")
    path.write_bytes(converter.convert())
    return ran(path, made.held)


def ran(path, held):
    found = Runner(path, isolated=False).many([{"photo": each} for each in held])
    return {name: np.stack([each[name] for each in found]) for name in found[0]}


def test_the_int8_file_is_no_farther_from_keras_than_the_stock_converter_s(made):
    ours, rival = (ratios(made.keras, made.held, each) for each in (ran(made.export.path, made.held), stock(made)))
    assert ours.keys() == rival.keys()
    for name, value in ours.items():
        assert value > 18, (name, value)
        assert value >= rival[name] - SLACK_OF.get(made.name, SLACK_DB), (name, value, rival[name])
    assert made.export.record.ops.float_ == []


def test_the_proof_begins_at_the_file_and_the_record_says_which(made):
    record = made.export.record
    source = record.source
    assert (source.file, source.format) == ("m.tflite", "tflite")
    assert source.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    links = {(link.of, link.to): link for link in record.proof.links}
    assert ("model", "rebuilt") in links
    assert ("rebuilt", "float file") in links
    assert links["inlined" if ("inlined", "simulation") in links else "rewritten", "simulation"].relative_error < 1e-3
    assert links["model", "rebuilt"].relative_error < 1e-5
    assert [port.name for port in record.inputs] == ["photo"]
    ends = {port.name: port for port in record.ports if port.reference == "model"}
    assert sorted(ends) == sorted(port.name for port in record.outputs)
    assert record.quantization.simulation.missing == []


def test_the_end_of_the_chain_is_measured_against_the_file_itself(made):
    """By hand: what LiteRT makes of the user's file, and of ours, for the inputs of the proof."""
    ends = {port.name: port for port in made.export.record.ports if port.reference == "model"}
    used = made.samples[:16]
    wanted, given = ran(made.path, used), ran(made.export.path, used)
    for name, port in ends.items():
        error = ((given[name] - wanted[name]) ** 2).sum()
        assert port.samples == 16
        assert port.sqnr_db == pytest.approx(10 * np.log10((wanted[name] ** 2).sum() / error), abs=3)


@pytest.fixture(scope="module")
def bytes_in(tmp_path_factory):
    """Of one network that casts and rescales bytes itself: a SavedModel, a float file, one with two signatures."""
    keras.utils.set_random_seed(3)
    folder = tmp_path_factory.mktemp("bytes")
    photo = keras.Input((16, 16, 3), dtype="uint8", name="photo")
    x = conv(layers.Rescaling(1 / 127.5, -1)(photo), 8, strides=2)
    model = keras.Model(photo, layers.Softmax()(head(x)))
    model.export(folder / "saved", verbose=False)
    converted(model, folder / "m.tflite")
    behind = keras.Model(model.layers[2].input, model.output)

    class Two(tf.Module):
        def __init__(self):
            super().__init__()
            self.network = behind

        @tf.function(input_signature=[tf.TensorSpec((1, 20, 24, 3), tf.uint8, name="frame")])
        def frames(self, frame):
            return {"scores": self.network(tf.image.resize(frame[:, ::-1], (16, 16)) / 127.5 - 1)}

        @tf.function(input_signature=[tf.TensorSpec((1, 16, 16, 3), tf.uint8, name="x")])
        def counts(self, x):
            return {"y": tf.cast(x + x, tf.float32)}

    two = Two()
    tf.saved_model.save(two, str(folder / "two"), signatures={"frames": two.frames, "counts": two.counts})
    random = np.random.default_rng(0)
    coarse = random.integers(40, 200, (SAMPLES, 6, 6, 3)).repeat(4, 1).repeat(4, 2)
    pictures = np.clip(coarse + random.integers(-9, 9, coarse.shape), 0, 255).astype(np.uint8)
    np.savez(folder / "images.npz", images=pictures[:, :16, :16])
    np.savez(folder / "frames.npz", images=pictures[:, :20, :24])
    return SimpleNamespace(model=model, behind=behind, folder=folder, images=pictures)


@pytest.mark.parametrize("name", ["saved", "m.tflite"])
def test_bytes_become_an_image_of_plain_pixels(bytes_in, name, tmp_path, capfd):
    ran = tfeff(capfd, "export", bytes_in.folder / name, "--int8", "--calibration", bytes_in.folder / "images.npz",
                "--calibration-method", "minmax", "--no-bench", "--out", tmp_path, "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    path = tmp_path / f"{name.removesuffix('.tflite')}.int8.tflite"
    record = open_artifact(path).record
    (port,) = record.images
    assert (port.dtype, port.zero_point) == ("int8", -128)
    assert port.scale == pytest.approx(1, rel=0.05)
    assert (set(port.preprocessing.mean), set(port.preprocessing.std)) == ({0.0}, {1.0})
    assert record.ops.float_ == []
    assert record.source.format == ("tflite" if name.endswith("tflite") else "saved-model")
    assert record.proof.links[0].of == "model"
    pictures = bytes_in.images[:12, :16, :16]
    wanted = np.asarray(bytes_in.model(pictures, training=False))
    given = Runner(path).many([{port.name: each.astype(np.float32)} for each in pictures])
    (output,) = record.outputs
    assert np.abs(np.stack([each[output.name] for each in given]) - wanted).max() < 0.03


def test_a_signature_that_resizes_bytes(bytes_in):
    model = build_user_model(Source(str(bytes_in.folder / "two"), signature="frames"))
    frames = bytes_in.images[:3, :20, :24].astype(np.float32)
    resized = tf.image.resize(frames[:, ::-1], (16, 16)) / 127.5 - 1
    wanted = np.asarray(bytes_in.behind(resized, training=False))
    for run in (model.run, model.run_copy):
        given = np.concatenate([run({"image": frames[n : n + 1]})["logits"] for n in range(3)])
        np.testing.assert_allclose(given, wanted, atol=1e-5)
    assert model.source.signature == "frames"


def test_bytes_that_are_computed_with_are_refused(bytes_in, capfd, tmp_path):
    with pytest.raises(TfeffError, match="its 8-bit input x is read by Add") as refused:
        build_user_model(Source(str(bytes_in.folder / "two"), signature="counts"))
    assert "tf.cast(x, tf.float32)" in refused.value.mend
    ran = tfeff(capfd, "export", bytes_in.folder / "saved", "--mean", 127.5, "--std", 127.5, "--calibration",
                bytes_in.folder / "images.npz", "--out", tmp_path)  # fmt: skip
    assert_refused(ran, "takes 8-bit pixels", "leave --mean and --std out")
    ran = tfeff(capfd, "export", bytes_in.folder / "two", "--float16", "--out", tmp_path)
    assert_refused(ran, "has the signatures counts, frames", "--signature NAME")


def test_the_model_itself_is_never_written_over(bytes_in, capfd):
    path = bytes_in.folder / "m.tflite"
    before = path.read_bytes()
    ran = tfeff(capfd, "export", path, "--float16", "--out", path, "--force")
    assert_refused(ran, "is the model itself", "--out")
    assert path.read_bytes() == before


def test_a_float_file_is_counted(bytes_in, capfd):
    ran = tfeff(capfd, "info", bytes_in.folder / "m.tflite", "--json")
    assert ran.code == 0, ran.err
    told = ran.json
    # The convolution with its norm folded into weights and bias, 8 x 8 pixels; the classifier, whose bias of zeros the
    # converter left out.
    assert told["counted"]["values"] == (27 * 8 + 8) + 8 * 5
    assert told["counted"]["madds"] == 8 * 8 * 27 * 8 + 8 * 5
    assert (told["inputs"], told["outputs"]) == ([[16, 16, 3]], [[5]])


@pytest.mark.parametrize(("name", "words"), [
    ("m.onnx", ("onnx2tf -i model.onnx", "tfeff export out/model_float32.tflite")),
    ("m.pt", ("litert_torch.convert", "tfeff export model.tflite")),
    ("m.pth", ("pip install litert-torch",)),
])  # fmt: skip
def test_files_of_other_frameworks_are_shown_the_way(name, words, tmp_path, capfd):
    (tmp_path / name).write_bytes(b"anything")
    ran = tfeff(capfd, "export", tmp_path / name, "--float16", "--out", tmp_path)
    assert_refused(ran, "neither a .keras, .h5 or float .tflite file", *words)
