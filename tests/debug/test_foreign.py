"""Files that no converter writes: each is debugged or refused in a sentence, whatever its graph."""

import numpy as np
import pytest
from checking_files import edit
from small_files import Part, Step, Values, write_file

from tfeff.debug import debug
from tfeff.errors import TfeffError


def grid(scale, shape=(1, 3)):
    return Values(shape, "int8", scale)


@pytest.fixture
def chain(tmp_path):
    """Writes a file of so many QUANTIZE one after the other, on two grids in turn."""

    def write(length, scales=(0.5, 0.25)):
        tensors = {str(n): grid(scales[n % 2]) for n in range(length + 1)}
        steps = [Step("QUANTIZE", [str(n)], [str(n + 1)]) for n in range(length)]
        return write_file(tmp_path / "m.tflite", Part(tensors, steps, {"x": "0"}, {"y": str(length)}))

    return write


def test_a_long_chain_of_equal_grids_is_followed(chain):
    found = debug(chain(1200, (0.5, 0.5)), samples=1)  # none of them adds an error
    assert [row.op for row in found.layers] == ["INPUT"]


def change(**values):
    def edited(model):
        graph, model.signatureDefs = model.subgraphs[0], None
        for key, numbers in values.items():
            owner = graph.operators[0] if key.startswith("op_") else graph
            setattr(owner, key.removeprefix("op_"), np.int32(numbers))

    return edited


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"op_inputs": [2]}, "which nothing before it computes"),  # a circle
        ({"op_inputs": []}, "has 0 inputs and 1 outputs"),
        ({"op_outputs": []}, "has 1 inputs and 0 outputs"),
        ({"op_inputs": [0, 0]}, "has 2 inputs and 1 outputs"),
        ({"outputs": []}, "has the inputs [0] and the outputs []"),
        ({"inputs": [0, 0]}, "has the inputs [0, 0]"),
    ],
)
def test_graphs_that_were_cut_or_tied(chain, values, said):
    path = chain(2)
    path.write_bytes(edit(path.read_bytes(), change(**values)))
    with pytest.raises(TfeffError) as refused:
        debug(path, samples=1)
    assert said in str(refused.value)
    assert refused.value.exit_code == 2


def test_an_output_that_is_named_twice(chain):
    path = chain(2)
    path.write_bytes(edit(path.read_bytes(), change(outputs=[2, 2])))
    assert len(debug(path, samples=1).ports) == 1


def test_what_no_rule_foresaw_is_a_sentence(chain, monkeypatch):
    from tfeff.debug import locate

    def fails(*arguments):
        raise RecursionError("too deep")

    monkeypatch.setattr(locate, "find_layers", fails)
    with pytest.raises(TfeffError, match=r"its graph cannot be followed \(RecursionError"):
        debug(chain(2), samples=1)
