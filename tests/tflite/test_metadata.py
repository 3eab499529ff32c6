"""Metadata in a file and labels behind it: read by the schema, and the file is what it was."""

import io
import zipfile

import numpy as np
from checking_files import converted
from read_metadata import read_metadata

from tfeff.compare import Runner
from tfeff.tflite.file import TfliteFile
from tfeff.tflite.metadata import Description, ImageInput, Output, with_metadata

LABELS = ("one", "zwölf", "three")
CLASSIFIER = Description(
    "net", "says what it sees", ImageInput("gray", (1.5,), (2.0,)), (Output("score", "Of each.", labelled="axis"),),
    LABELS,
)  # fmt: skip


def test_a_classifier_is_described():
    made = read_metadata(with_metadata(converted("conv"), CLASSIFIER))
    (graph,) = made.pop("subgraph_metadata")
    assert made == {"name": "net", "description": "says what it sees", "min_parser_version": "1.2.0"}
    (image,) = graph["input_tensor_metadata"]
    assert image["content"] == {"content_properties": ("ImageProperties", {"color_space": 2})}
    assert image["stats"] == {"max": [126.75], "min": [-0.75]}
    assert image["process_units"] == [{"options": ("NormalizationOptions", {"mean": [1.5], "std": [2.0]})}]
    (score,) = graph["output_tensor_metadata"]
    assert score["associated_files"][0]["type"] == 2  # labels of an axis
    assert "output_tensor_groups" not in graph


def test_the_file_is_what_it_was(tmp_path):
    before, described = converted("conv"), with_metadata(converted("conv"), CLASSIFIER)
    assert described == with_metadata(before, CLASSIFIER)
    assert read_metadata(with_metadata(described, CLASSIFIER)) == read_metadata(described)  # in place of the other
    with zipfile.ZipFile(io.BytesIO(described)) as archive:
        assert archive.read("labels.txt").decode() == "one\nzwölf\nthree\n"
    one, other = TfliteFile(before), TfliteFile(described)
    assert one.operators == other.operators
    for number in range(len(one.tree.tensors)):
        assert one.raw(number).tobytes() == other.raw(number).tobytes()
    paths = [tmp_path / "before.tflite", tmp_path / "described.tflite"]
    for path, data in zip(paths, (before, described), strict=True):
        path.write_bytes(data)
    runners = [Runner(path) for path in paths]
    image = np.random.default_rng(0).standard_normal(runners[0].inputs[0].sample).astype(np.float32)
    for values in zip(*(runner(image).values() for runner in runners), strict=True):
        np.testing.assert_array_equal(*values)
