"""No module of the working folder is imported because a file names it; one that the user names is, while he loads."""

import json
import sys
import zipfile

import keras
import pytest

from tfeff import own_code
from tfeff.errors import TfeffError
from tfeff.export.loading import read_keras
from tfeff.weights import load_weights


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with modules that leave a mark, first on the path as `python -m` has it."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    for name in ("keras_cv", "keras_hub", "keras_nlp", "mine", "helper"):
        (tmp_path / f"{name}.py").write_text(f"open({name + '.ran'!r}, 'w').close()\n")
    (tmp_path / "mine.py").write_text("import helper\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name in ("keras_cv", "keras_hub", "keras_nlp", "mine", "helper"):
            del sys.modules[name]


def foreign(path, module):
    """A model whose one layer is said to be of `module`."""
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "Dense":
            layer |= {"module": module, "registered_name": None, "class_name": "Evil"}
    files["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("module", ["keras_cv", "keras_hub.layers", "keras_nlp"])
@pytest.mark.parametrize("entry", ["", ".", None])
def test_a_file_that_names_a_module_of_the_working_folder(here, monkeypatch, module, entry):
    monkeypatch.setattr(sys, "path", [str(here) if entry is None else entry, *sys.path])
    foreign(here / "model.keras", module)
    before = list(sys.path)
    with pytest.raises(TfeffError, match=r"model\.keras: cannot be loaded"):
        read_keras(here / "model.keras")
    inputs = keras.Input((4,))
    with pytest.raises(TfeffError, match="Keras cannot load it"):
        load_weights(keras.Model(inputs, inputs), here / "model.keras")
    assert not list(here.glob("*.ran"))
    assert sys.path == before


def test_what_is_named_comes_from_the_folder_and_leaves_no_path_behind(here):
    before, finders = list(sys.path), list(sys.meta_path)
    own_code.import_named("mine")
    assert [path.name for path in here.glob("*.ran")] == ["helper.ran"]
    assert (sys.path, sys.meta_path) == (before, finders)
    foreign(here / "model.keras", "keras_cv")
    with pytest.raises(TfeffError, match="cannot be loaded"):
        read_keras(here / "model.keras", ["mine"])
    assert not (here / "keras_cv.ran").exists()


def test_a_file_of_the_folder_takes_no_installed_packages_place(here):
    (here / "mine.py").write_text("import graphlib\n")
    (here / "graphlib.py").write_text("raise SystemExit(0)\n")
    sys.modules.pop("graphlib", None)
    own_code.import_named("mine")


@pytest.mark.parametrize("text", ["raise SystemExit(0)", "1 / 0", "import absent_module", "syntax error"])
def test_a_named_module_that_fails(here, text):
    (here / "mine.py").write_text(text + "\n")
    foreign(here / "model.keras", "keras")
    with pytest.raises(TfeffError, match="--import mine"):
        read_keras(here / "model.keras", ["mine"])
