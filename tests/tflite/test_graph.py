"""Reading `.tflite` files: what the graph holds, against the interpreter's own account of the same file."""

from pathlib import Path

import keras
import numpy as np
import pytest
from checking_files import converted, edit, outside
from keras import layers
from saving import save_image_model
from small_files import Part, Step, Values, constant, write_file

from tfeff.errors import TfeffError
from tfeff.export.quantize import Job, convert
from tfeff.tflite.file import TfliteFile
from tfeff.tflite.graph import describe_operations, read_graph


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One network in several precisions: precision-io -> path; a sine in the middle keeps `island` partly float."""
    folder = tmp_path_factory.mktemp("flatbuffer")
    image = keras.Input((8, 8, 8), name="image")
    x = layers.ReLU()(layers.Conv2D(8, 3, name="first")(image))
    plain = keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))
    island = keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(keras.ops.sin(x))))
    np.save(folder / "c.npy", np.random.default_rng(0).standard_normal((8, 8, 8, 8)).astype(np.float32))
    jobs = []
    for name, model, wanted in (
        ("plain", plain, [("float32", "float32"), ("int8", "int8"), ("int8", "float32"), ("int16x8", "int16")]),
        ("island", island, [("int8", "int8"), ("int16x8", "int16")]),
    ):
        save_image_model(model, folder / name, (8, 8, 8))
        jobs += [Job(str(folder / name), p, io, str(folder / f"{name}-{p}-{io}.tflite")) for p, io in wanted]
    convert(jobs, {"image": folder / "c.npy"}, folder)
    return {Path(job.path).stem: Path(job.path) for job in jobs}


def test_agrees_with_the_interpreter(files):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    for path in files.values():
        interpreter = Interpreter(
            str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        graph = read_graph(path)
        assert [op.name for op in graph.operations] == [op["op_name"] for op in interpreter._get_ops_details()]
        for side in ("input", "output"):
            (theirs,) = getattr(interpreter, f"get_{side}_details")()
            (ours,) = getattr(graph, f"{side}s")
            assert ours.dtype.lower() == np.dtype(theirs["dtype"]).name
            assert ours.shape == tuple(theirs["shape"])
            scale, zero_point = theirs["quantization"]
            if scale:
                assert ours.scale == pytest.approx(scale)
                assert ours.zero_point == zero_point


def test_static_batch_and_signature(files):
    from ai_edge_litert.interpreter import Interpreter

    for path in files.values():
        assert read_graph(path).inputs[0].shape == (1, 8, 8, 8)
        signatures = Interpreter(str(path)).get_signature_list()
        assert signatures == {"serving_default": {"inputs": ["image"], "outputs": ["logits"]}}


def test_integer_files_have_no_float_operation(files):
    for name in ("plain-int8-int8", "plain-int16x8-int16"):
        graph = read_graph(files[name])
        assert graph.float_operations() == []
        assert describe_operations(graph)["float"] == []
        assert graph.min_runtime_version


def test_float_at_the_door_is_no_island(files):
    graph = read_graph(files["plain-int8-float32"])
    assert {"QUANTIZE", "DEQUANTIZE"} <= {op.name for op in graph.operations}
    assert graph.float_operations() == []


@pytest.mark.parametrize("name", ["island-int8-int8", "island-int16x8-int16"])
def test_island_is_found_and_named(files, name):
    found = read_graph(files[name]).float_operations()
    assert [op.name for op in found] == ["DEQUANTIZE", "SIN", "QUANTIZE"]
    assert any("Sin" in op.label for op in found)


def test_every_operation_of_a_float_file_is_float(files):
    graph = read_graph(files["plain-float32-float32"])
    assert graph.float_operations() == list(graph.operations)
    assert graph.int8_operations() == []


def test_not_a_file_of_ours(tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"PNG or whatever, longer than eight")
    with pytest.raises(TfeffError, match="not a TFLite file"):
        read_graph(path)


def test_cut_anywhere_it_is_damaged_not_a_crash(files, tmp_path):
    data = files["plain-int8-int8"].read_bytes()
    path = tmp_path / "cut.tflite"
    refused = 0
    for length in range(8, len(data), 211):
        path.write_bytes(data[:length])
        try:
            read_graph(path)
        except TfeffError:
            refused += 1
    assert refused > 0.5 * len(data) / 211  # cuts in the tail may leave the graph itself readable


def test_constants_and_scales_agree_with_the_interpreter(files):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    seen = set()
    for path in files.values():
        interpreter = Interpreter(
            str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        interpreter.allocate_tensors()
        theirs = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
        for op in read_graph(path).operations:
            for tensor in (*op.inputs, *op.outputs):
                detail = theirs[tensor.index]
                assert tensor.name == detail["name"]
                quantized = detail["quantization_parameters"]
                assert tensor.scales == pytest.approx(tuple(quantized["scales"]))
                if len(tensor.scales) > 1:
                    assert tensor.axis == quantized["quantized_dimension"]
                    seen.add("per channel")
                if tensor.constant:
                    value = interpreter.get_tensor(tensor.index)
                    assert tensor.size_bytes == value.nbytes
                    assert (tensor.values is not None) == (value.size <= 64)
                    assert tensor.values is None or tensor.values == tuple(value.ravel().tolist())
                    assert tensor.uniform == (value.flat[0] if np.all(value == value.flat[0]) else None)
                    seen.add("values" if tensor.values else "large")
    assert seen == {"per channel", "values", "large"}


@pytest.mark.parametrize(
    ("name", "operation", "options"),
    [
        ("conv", "CONV_2D", {"stride_w": 1, "stride_h": 1, "padding": "SAME", "fused_activation_function": "NONE"}),
        ("depthwise_2_3", "DEPTHWISE_CONV_2D", {"dilation_h_factor": 2, "dilation_w_factor": 3, "padding": "SAME"}),
        ("dense", "FULLY_CONNECTED", {"weights_format": "DEFAULT", "keep_num_dims": False}),
        ("slice_step_2", "STRIDED_SLICE", {"ellipsis_mask": 0, "new_axis_mask": 0}),
        ("max_pool", "MAX_POOL_2D", {"filter_width": 2, "stride_h": 2, "padding": "VALID"}),
        ("concat_5", "CONCATENATION", {"axis": 3}),
        ("leaky", "LEAKY_RELU", {"alpha": pytest.approx(0.2)}),
    ],
)
def test_options_are_those_of_the_network(name, operation, options, tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(converted(name))
    op = next(op for op in read_graph(path).operations if op.name == operation)
    assert {key: op.options[key] for key in options} == options


def test_steps_and_paddings_are_read(tmp_path):
    path = tmp_path / "x.tflite"
    for name, place, values in (("slice_step_2", 3, (1, 1, 1, 2)), ("pad", 1, (0, 0, 1, 1, 1, 1, 0, 0))):
        path.write_bytes(converted(name))
        assert read_graph(path).operations[0].inputs[place].values == values


def test_dynamic_shape_is_kept(tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(converted("conv", batch=None))
    (image,) = read_graph(path).inputs
    assert (image.shape, image.shape_signature, image.dynamic) == ((1, 8, 8, 8), (-1, 8, 8, 8), True)
    path.write_bytes(converted("conv"))
    assert not read_graph(path).inputs[0].dynamic


def test_constants_behind_the_flatbuffer_are_the_same(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    inside, behind = tmp_path / "inside.tflite", tmp_path / "behind.tflite"
    inside.write_bytes(converted("conv"))
    behind.write_bytes(outside(converted("conv")))
    a, b = read_graph(inside), read_graph(behind)
    assert not any(t.external for t in a.operations[0].inputs)
    assert [t.external for t in b.operations[0].inputs] == [False, True, True]
    assert [(t.size_bytes, t.values) for t in a.operations[0].inputs] == [
        (t.size_bytes, t.values) for t in b.operations[0].inputs
    ]
    assert a.constant_bytes() == b.constant_bytes() == 8 * 3 * 3 * 8 + 8 * 4
    assert a.min_runtime_version == b.min_runtime_version
    Interpreter(str(behind)).allocate_tensors()  # the runtime finds them there too
    behind.write_bytes(behind.read_bytes()[:-900])
    with pytest.raises(TfeffError, match="damaged"):
        read_graph(behind)


def test_shared_constant_counts_once(tmp_path):
    def share(model):
        tensors = model.subgraphs[0].tensors
        kernels = [tensors[op.inputs[1]] for op in model.subgraphs[0].operators if len(op.inputs) == 3]
        for kernel in kernels[1:]:
            kernel.buffer = kernels[0].buffer

    path = tmp_path / "x.tflite"
    path.write_bytes(converted("concat_5"))
    whole = read_graph(path).constant_bytes()
    path.write_bytes(edit(converted("concat_5"), share))
    assert read_graph(path).constant_bytes() == whole - 4 * 2 * 3 * 3 * 8


def test_operation_without_a_name_in_this_schema(tmp_path):
    def rename(model):
        model.operatorCodes[0].builtinCode, model.operatorCodes[0].deprecatedBuiltinCode = 999, 127

    path = tmp_path / "x.tflite"
    path.write_bytes(edit(converted("conv"), rename))
    assert read_graph(path).operations[0].name == "BUILTIN 999"


def test_what_many_share_is_read_once(tmp_path, monkeypatch):
    """The work is bounded by the file's size, though 200 tensors share a buffer, and as many operations a name."""
    constants = {f"c{n}": constant(np.ones((1, 4096), np.float32)) for n in range(200)}
    tensors = {"x": Values((1, 4096)), **constants, **{f"y{n}": Values((1, 4096)) for n in range(200)}}
    steps = [Step("CUSTOM", ["x", f"c{n}"], [f"y{n}"]) for n in range(200)]
    path = write_file(tmp_path / "m.tflite", Part(tensors, steps, {"x": "x"}, {"y": "y0"}))

    def share(model):
        model.buffers = model.buffers[:2]
        for tensor in model.subgraphs[0].tensors:
            tensor.buffer = min(tensor.buffer, 1)
        model.operatorCodes = model.operatorCodes[:1]
        model.operatorCodes[0].customCode = b"n" * 100_000
        for operator in model.subgraphs[0].operators:
            operator.opcodeIndex = 0

    path.write_bytes(edit(path.read_bytes(), share))
    compared, equal = [], np.ndarray.__eq__

    class Counted(np.ndarray):
        def __eq__(self, other):
            compared.append(self.size)
            return equal(np.asarray(self), other)

    stored = TfliteFile.stored
    monkeypatch.setattr(TfliteFile, "stored", lambda *a: None if (v := stored(*a)) is None else v.view(Counted))
    graph = read_graph(path)
    assert sum(compared) == 4096
    assert {op.inputs[1].uniform for op in graph.operations} == {1}
    assert sum(len(op.name) for op in graph.operations) < 200 * 210
