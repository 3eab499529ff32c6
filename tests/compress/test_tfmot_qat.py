"""tfmot's quantization-aware training through the bridge: int8 throughout, one range where one must be, and as good as
float. The file is judged by LiteRT, which knows nothing of tfmot."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from rewrite_models import randomize
from tfmot_small import needs_tfmot

from tfeff.compare import Runner
from tfeff.compress.tfmot import Training, process, qat, refusals, tfmot_qat
from tfeff.compress.tfmot.drawing import draw
from tfeff.compress.tfmot.placement import place
from tfeff.data import Preprocessing, open_dataset
from tfeff.errors import GateFailed, TfeffError
from tfeff.export import classifier
from tfeff.layers import ChannelShuffle, GroupConv2D
from tfeff.presets import load_preset
from tfeff.tflite.graph import read_graph

pytestmark = needs_tfmot

PRESETS = ("pp_lcnet",)  # squeeze and excitation, hard-swish
SHAPE = (12, 12, 3)
PREPROCESSING = Preprocessing(size=SHAPE[:2], mean=(128.0,) * 3, std=(128.0,) * 3)


def model_of(model, preprocessing=PREPROCESSING):
    return classifier(model, model.name, model.name, preprocessing)


def odd_network():
    """What tfmot by itself refuses, all in one."""
    image = keras.Input(SHAPE, name="image")
    x = layers.Activation("hard_silu")(layers.BatchNormalization()(layers.Conv2D(8, 3, name="stem")(image)))
    y = layers.PReLU(shared_axes=[1, 2])(GroupConv2D(8, 3, 4, padding="same", name="grouped")(x))
    gate = layers.Conv2D(8, 1)(layers.GlobalAveragePooling2D(keepdims=True)(y))
    y = layers.Multiply()([y, layers.Activation("hard_sigmoid")(gate)])
    a, b = ops.split(ChannelShuffle(2)(layers.Concatenate()([x, y])), 2, axis=-1)
    a = layers.BatchNormalization()(layers.MaxPooling2D(3, 1, padding="same")(a))
    b = layers.AveragePooling2D(3, 1, padding="same")(b[..., ::1]) * np.linspace(0.5, 2, 8, dtype=np.float32)
    x = layers.Concatenate()([a, b, layers.Activation("sigmoid")(a - b + 0.5)])
    x = ops.maximum(layers.ReLU(4.0)(layers.Conv2D(8, 1)(x)), 0.25)
    x = layers.Conv2D(8, 1)(layers.UpSampling2D(2)(layers.ZeroPadding2D(1)(x[:, 1:-1, 2:])))
    return randomize(keras.Model(image, layers.Dense(10)(layers.GlobalMaxPooling2D()(x)), name="odd"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """{name: (task, answer, inputs, labels, Keras' outputs)} of the presets and the odd network, all in one process."""
    folder = tmp_path_factory.mktemp("qat")
    train, test = (open_dataset("fashion_mnist_sample", split) for split in ("train", "test"))
    tasks, rest = {}, {}
    for name in PRESETS:
        preset = load_preset(name)
        model, preprocessing = preset.build(), preset.preprocessing
        images, inputs = (np.stack([preprocessing(d.image(n)) for n in range(256)]) for d in (train, test))
        tasks[name] = qat.prepare(
            model_of(model, preprocessing),
            Training(images, train.labels[:256], steps=6, learning_rate=5e-5),
            folder=folder,
        )
        rest[name] = (inputs, test.labels[:256], np.asarray(model(inputs)))
    rng = np.random.default_rng(0)
    images = np.clip(rng.standard_normal((64, *SHAPE)), -1, 127 / 128).astype(np.float32)
    model = odd_network()
    tasks["odd"] = qat.prepare(model_of(model), Training(images, np.arange(64) % 10, steps=0), folder=folder)
    rest["odd"] = (images, None, np.asarray(model(images)))
    answers = process.run_all(list(tasks.values()), folder)
    return {name: (task, answer, *rest[name]) for (name, task), answer in zip(tasks.items(), answers, strict=True)}


@pytest.mark.parametrize("name", [*PRESETS, "odd"])
def test_file_is_int8_throughout(trained, name):
    task, answer, *_ = trained[name]
    made = qat.finish(task, answer)
    graph = read_graph(made.path)
    assert graph.float_operations() == []
    assert {tensor.dtype for tensor in (*graph.inputs, *graph.outputs)} == {"INT8"}
    assert not {"QUANTIZE", "DEQUANTIZE"} & {op.name for op in graph.operations} or name == "odd"
    assert made.bridge_error <= 1e-5
    assert len(made.losses) == made.steps == task.request["steps"]


@pytest.mark.parametrize("name", PRESETS)
def test_it_sees_what_float_sees(trained, name):
    task, _, inputs, labels, floats = trained[name]
    runner = Runner(task.request["path"])
    found = np.array([int(runner(image)["logits"].argmax()) for image in inputs])
    assert np.mean(found == labels) > np.mean(floats.argmax(1) == labels) - 0.04
    assert np.mean(found == floats.argmax(1)) > 0.9


def test_ranges_alone_are_close_to_float(trained):
    """Without a step of training, what is left is rounding."""
    task, _, inputs, _, floats = trained["odd"]
    runner = Runner(task.request["path"])
    found = np.stack([runner(image)["logits"] for image in inputs])
    noise = np.sum((found - floats) ** 2) / np.sum((floats - floats.mean()) ** 2)
    assert -10 * np.log10(noise) > 20  # dB


def test_signature(trained):
    from ai_edge_litert.interpreter import Interpreter

    signature = Interpreter(str(trained["odd"][0].request["path"])).get_signature_list()["serving_default"]
    assert signature == {"inputs": ["image"], "outputs": ["logits"]}


@pytest.mark.parametrize("name", PRESETS)
def test_weights_have_a_scale_a_channel(trained, name):
    graph = read_graph(trained[name][0].request["path"])
    kinds = {"CONV_2D", "DEPTHWISE_CONV_2D"}
    weights = [op.inputs[1] for op in graph.operations if op.name in kinds]
    assert weights
    for tensor in weights:
        assert len(tensor.scales) == tensor.shape[tensor.axis] > 1


def test_one_range_for_what_a_concatenation_joins(trained):
    graph = read_graph(trained["odd"][0].request["path"])
    joins = [op for op in graph.operations if op.name == "CONCATENATION"]
    assert len(joins) >= 2
    for op in joins:
        assert {tensor.scale for tensor in op.inputs} == {op.outputs[0].scale}


def test_range_of_the_image_is_that_of_its_preprocessing(trained):
    (image,) = read_graph(trained["pp_lcnet"][0].request["path"]).inputs
    assert image.scale == pytest.approx((1 + 127 / 128) / 255, rel=1e-5)  # -1 to 127/128 in 255 steps


def test_placement_by_hand():
    """conv+ReLU is one unit; the slices and what they are joined with have one range; sigmoid's is given."""
    image = keras.Input((4, 4, 3))
    x = layers.ReLU(name="relu")(layers.Conv2D(4, 1, name="conv")(image))
    x = layers.Concatenate(name="join")([x[..., :2], layers.Conv2D(2, 1, name="other")(image)])
    model = keras.Model(image, layers.Activation("sigmoid", name="gate")(layers.Dense(3, name="last")(x)))
    plan = draw(model).as_dict()
    start, placed, refused = place(plan)
    by_name = {node["name"].split("_")[0]: each for node, each in zip(plan["nodes"], placed, strict=True)}
    assert refused == []
    assert by_name["conv"].output is None
    assert (by_name["conv"].weights, by_name["last"].weights) == ("channel", "tensor")
    assert by_name["get"].output is None
    assert by_name["relu"].group == by_name["other"].group == by_name["join"].group != by_name["last"].group
    assert start.group not in {each.group for each in placed}
    assert (by_name["gate"].output, by_name["gate"].fixed) == ("fixed", (0.0, 255 / 256))


def test_all_that_int8_has_no_kernel_for_is_named():
    image = keras.Input(SHAPE)
    x = layers.ELU(name="first")(layers.Conv2D(4, 1)(image))
    x = layers.ReLU(threshold=0.5, name="second")(layers.Conv2D(4, 1)(x))
    model = randomize(keras.Model(image, layers.Dense(10)(layers.Flatten()(x)), name="refused"))
    images = np.random.default_rng(0).standard_normal((8, *SHAPE)).astype(np.float32)
    found = refusals(model_of(model), images)
    assert [(each.layer, each.kind) for each in found] == [("first", "ELU"), ("second", "ReLU")]
    with pytest.raises(TfeffError, match=r"first \(ELU\).*second \(ReLU\)"):
        tfmot_qat(model_of(model), Training(images, np.zeros(8, int), steps=1), folder="unused")


def test_operations_left_in_float_are_no_file(trained, tmp_path):
    import tensorflow as tf

    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    path = tmp_path / "float.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    task, answer, *_ = trained["odd"]
    wrong = process.Task("qat", task.plan, task.model, task.proof, {**task.request, "path": path})
    with pytest.raises(GateFailed, match="FULLY_CONNECTED"):
        qat.finish(wrong, answer)
    assert not path.exists()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"images": np.zeros((8, 9, 9, 3), np.float32)}, r"takes \(n, 12, 12, 3\)"),
        ({"labels": np.zeros(7, int)}, "one whole number for each image"),
        ({"labels": np.zeros(8)}, "float64"),
        ({"labels": np.full(8, 10)}, "has 10 classes"),
        ({"steps": None}, "either epochs or steps"),
        ({"epochs": 2}, "either epochs or steps"),
        ({"steps": -1}, "above 0"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"batch_size": 0}, "above 0"),
        ({"io": "int16"}, "int16"),
        ({"target": "toaster"}, "toaster"),
    ],
)
def test_bad_input(change, word, tmp_path):
    image = keras.Input(SHAPE)
    model = keras.Model(image, layers.Dense(10)(layers.Flatten()(image)), name="small")
    given = {"images": np.zeros((8, *SHAPE), np.float32), "labels": np.zeros(8, int), "steps": 1, **change}
    how = {key: given.pop(key) for key in ("io", "target") if key in given}
    with pytest.raises(TfeffError, match=word):
        tfmot_qat(model_of(model), Training(**given), folder=tmp_path, **how)
    assert list(tmp_path.iterdir()) == []
