"""The files of an export get their names together, and never over those of another that was quicker."""

from types import SimpleNamespace

import pytest
from full_record import full_record

from tfeff.errors import TfeffError
from tfeff.export.placing import put_in_place, scratch


@pytest.fixture
def export(tmp_path):
    """Ends an export to `x.tflite` whose file holds `text`."""

    def run(text, force=False):
        path = tmp_path / "x.tflite"
        with scratch(path) as folder:
            (folder / path.name).write_text(text)
            target = SimpleNamespace(compiled_suffix=None)
            context = SimpleNamespace(folder=folder, path=path, target=target, request=SimpleNamespace(force=force))
            put_in_place(context, {folder / path.name: path}, full_record())

    return run


def test_of_two_exports_to_one_path_the_later_is_refused(export, tmp_path):
    export("first")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before.keys() == {"x.tflite", "x.json"}
    with pytest.raises(TfeffError, match=r"x\.\w+: exists already"):
        export("second")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    export("second", force=True)
    assert (tmp_path / "x.tflite").read_text() == "second"
