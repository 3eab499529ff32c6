"""A user's own file: a `.keras` model, a SavedModel or a float `.tflite`, with all of its inputs and outputs."""

import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfeff.errors import TfeffError
from tfeff.export.byte_inputs import with_float_inputs
from tfeff.files import check_unpacked
from tfeff.own_code import import_named, nothing_from_here
from tfeff.record.schema import SourceFile
from tfeff.tasks import Head

if TYPE_CHECKING:
    from tfeff.export.rebuild.reading import FloatFile

SIGNATURE = "serving_default"
_SCOPE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_./-]*")  # what both `tf.name_scope` and a graph's nodes take


@dataclass(frozen=True)
class OpenInput:
    """An input whose shape may be open.

    Attributes:
        name: the user's own, such that a signature can have it.
        shape: of one sample; None where it is open.
        dtype: numpy's name.
        pixels: whether it takes 8-bit pixels, which are given as floats of the same values.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    pixels: bool = False


@dataclass(frozen=True)
class Loaded:
    """A file that was loaded.

    Attributes:
        callable: a Keras model; or of a SavedModel a function of its inputs, which gives its outputs by name.
        inputs: in the order in which `callable` takes them.
        heads: of its outputs, in the order in which `callable` gives them.
        source: the file, for the record.
        brought: the model as it was loaded, where `callable` is a copy of it.
        copied: what the record calls such a copy.
        fake_quant: the fake-quant graph that the file holds; `callable` is then the float network inside.
    """

    callable: Any
    inputs: tuple[OpenInput, ...]
    heads: tuple[Head, ...]
    source: SourceFile
    fake_quant: Any = None
    brought: Any = None
    copied: str = "float32 copy"


def load(
    path: Path,
    imports: Sequence[str] = (),
    signature: str | None = None,
    *,
    trust_lambda: bool = False,
    float_file: "FloatFile | None" = None,
) -> Loaded:
    """Loads a file of the user's.

    Args:
        path: of a Keras file (`.keras`, or the `.h5` of Keras 2), a SavedModel folder, or a float `.tflite`.
        imports: modules that register custom layers.
        signature: of a SavedModel or a `.tflite`; None is `serving_default`, or the only one there is.
        trust_lambda: whether code that a Keras file holds (Lambda layers) may run.
        float_file: of a `.tflite` what `rebuild.reading` has read of it; it is read here without.

    Raises:
        TfeffError: no such file, unreadable, or without a graph.
    """
    if path.is_dir():
        return _load_saved_model(path, signature)
    if path.suffix == ".tflite":
        return _load_float_file(path, signature, float_file)
    if signature is not None:
        raise TfeffError(f"--signature: {path} is no SavedModel and has none", "leave it out")
    return _load_keras(path, imports, trust_lambda)


def _load_keras(path: Path, imports: Sequence[str], trust_lambda: bool) -> Loaded:
    from tfeff.export.heads import heads_of
    from tfeff.export.quantize.simulation import float_model, is_fake_quant
    from tfeff.export.rewrites.float32 import coarsest, in_float32
    from tfeff.export.rewrites.graph import as_functional

    graph = read_keras(path, imports, trust_lambda=trust_lambda)
    _check_names(graph, path)
    model, brought = float_model(graph) if is_fake_quant(graph) else graph, None
    if coarsest(model) is not None:
        brought, model = _by_position(model), in_float32(model)
    functional = as_functional(model)
    taken = port_names(model.inputs, functional.input, [tensor.name for tensor in model.inputs])
    given = port_names(model.outputs, functional.output, functional.output_names)
    inputs = [OpenInput(name, tuple(tensor.shape[1:]), str(tensor.dtype))
              for name, tensor in zip(taken, model.inputs, strict=True)]  # fmt: skip
    heads = heads_of(model, given, path)
    fake_quant = graph if is_fake_quant(graph) else None
    source = SourceFile(
        file=path.name,
        format="keras" if path.suffix == ".keras" else "h5",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    return Loaded(_by_position(model), tuple(inputs), tuple(heads), source, fake_quant, brought)


def _check_names(graph: Any, path: Path) -> None:
    """Raises TfeffError for a layer's name that TensorFlow's scopes do not take."""
    import keras

    from tfeff.layers.keras_private import flat_layers

    for layer in flat_layers(graph):
        if not isinstance(layer, keras.layers.InputLayer) and not _SCOPE.fullmatch(layer.name):
            raise TfeffError(
                f"{path}: the layer {layer.name[:80]!r} has a name that TensorFlow does not take",
                "rename it: letters, digits, `_`, `.` and `-`, first a letter or digit",
            )


def _load_float_file(path: Path, signature: str | None, file: "FloatFile | None") -> Loaded:
    """The network rebuilt as a Keras model, and the file itself as the model that was brought."""
    from tfeff.export.heads import heads_of
    from tfeff.export.rebuild.network import rebuild_network
    from tfeff.export.rebuild.reading import read_float_file
    from tfeff.export.rebuild.running import FileModel

    file = file or read_float_file(path, signature)
    model = rebuild_network(file)
    taken = unique(file.inputs)
    inputs = [
        OpenInput(name, tuple(given.shape[1:]), str(given.dtype), tensor.index in file.pixels)
        for name, given, tensor in zip(taken, model.inputs, file.inputs.values(), strict=True)
    ]
    heads = heads_of(model, unique(file.outputs))
    source = SourceFile(file=path.name, format="tflite", sha256=file.sha256, signature=signature)
    return Loaded(model, tuple(inputs), tuple(heads), source, brought=FileModel(file), copied="rebuilt")


def _by_position(model: Any) -> Any:
    """A model that is called as models are called here: a list of inputs, if there are several, and outputs in one."""
    import keras

    from tfeff.export.rewrites.graph import as_functional

    functional = as_functional(model)
    one = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    if type(functional.input) is type(one) and isinstance(functional.output, keras.KerasTensor | list):
        return model
    return keras.Model(one, model.outputs, name=model.name)


def read_keras(path: Path, imports: Sequence[str] = (), *, trust_lambda: bool = False) -> Any:
    """The functional model in a Keras file."""
    if not path.is_file():
        raise TfeffError(f"{path}: no such file", "check the path")
    check_unpacked(path)
    import keras

    from tfeff import layers  # noqa: F401  registers our layers
    from tfeff.export.quantize import fake_quant  # noqa: F401  registers those of a fake-quant network

    for module in imports:
        try:
            import_named(module)
        except (Exception, SystemExit) as error:  # the user's own code
            raise TfeffError(
                f"--import {module}: {error or type(error).__name__}",
                "give a module that can be imported from this folder",
            ) from None
    try:
        with nothing_from_here():
            model = keras.saving.load_model(path, compile=False, safe_mode=not trust_lambda)
    except Exception as error:  # Keras has no type of its own for unreadable files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        _refuse_older(path, reason)
        mend = "save it with model.save('x.keras'); --import MODULE registers custom layers"
        if not trust_lambda and "lambda" in str(error).lower():
            reason = "it holds Python code, a Lambda layer"
            mend = "make it a layer of its own; or --trust-lambda runs that code with all your rights"
        raise TfeffError(f"{path}: cannot be loaded ({reason})", mend) from None
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise TfeffError(
            f"{path}: has no graph of layers", "build the model functionally: keras.Model(inputs, outputs)"
        )
    return model


def _refuse_older(path: Path, reason: str) -> None:
    """Raises TfeffError for a file without a network, or of Keras 2 that Keras 3 could not read."""
    if "No model config" in reason:
        raise TfeffError(f"{path}: holds weights and no network", "save the whole model: model.save('x.keras')")
    version = _saved_by(path)
    if not version.startswith("2.") or ("ambda" in reason and "OpLambda" not in reason):
        return
    raise TfeffError(
        f"{path}: was saved by Keras {version}, and Keras 3 cannot read it ({reason[:80]})",
        "`pip install tf_keras`, in Python `import tf_keras; "
        f"tf_keras.models.load_model({path.name!r}).export('saved')`, and give the folder: `tfeff export saved ...`",
    )


def _saved_by(path: Path) -> str:
    """The version of Keras that wrote a file; empty where it does not say."""
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                return str(json.loads(archive.read("metadata.json")).get("keras_version", ""))
        import h5py

        with h5py.File(path, "r") as file:
            return str(file.attrs.get("keras_version", ""))
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile):
        return ""


def port_names(tensors: Sequence[Any], structure: Any, own: Sequence[str]) -> list[str]:
    """Names of a functional model's inputs or outputs: the keys where it takes or gives a dict, else its own.

    Args:
        tensors: `model.inputs` or `model.outputs`.
        structure: `model.input` or `model.output`: the same as the model's author nested them.
        own: Keras' names, one a tensor.
    """
    keys = sorted(structure) if isinstance(structure, Mapping) else []
    flat = len(keys) == len(tensors) and all(structure[key] is one for key, one in zip(keys, tensors, strict=True))
    return unique(keys if flat else own)


def unique(names: Iterable[str]) -> list[str]:
    """Names that a signature can have: letters, digits and `_`, each once."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
        plain = f"_{plain}" if plain[0].isdigit() else plain
        fresh, number = plain, 1
        while fresh in found:
            number += 1
            fresh = f"{plain}_{number}"
        found.append(fresh)
    return found


def _load_saved_model(path: Path, chosen: str | None = None) -> Loaded:
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(path))
        signatures = dict(loaded.signatures)
    except (OSError, KeyError, ValueError) as error:
        raise TfeffError(f"{path}: cannot be loaded ({str(error).splitlines()[0][:200]})", "export it anew") from None
    signature = signatures[_chosen(path, sorted(signatures), chosen)]
    # By name: in the file they have no order.
    taken, given = (dict(sorted(ports.items())) for ports in
                    (signature.structured_input_signature[1], signature.structured_outputs))  # fmt: skip
    for name, spec in {**taken, **given}.items():
        if spec.shape.rank in (None, 0):
            raise TfeffError(f"{path}: {name} has no fixed rank with a batch", "export it with a fixed shape")
    pixels = {name for name, spec in taken.items() if spec.dtype == tf.uint8}
    inputs = [OpenInput(name, tuple(spec.shape[1:]), "float32" if own in pixels else spec.dtype.name, own in pixels)
              for name, (own, spec) in zip(unique(taken), taken.items(), strict=True)]  # fmt: skip
    outputs = unique(given)
    call, brought = _calling(signature, taken, dict(zip(outputs, given, strict=True))), None
    call.keep_alive = loaded  # the signature holds its variables by weak references only
    if pixels:
        floats = with_float_inputs(signature, [*taken], str(path))
        brought, call = call, _calling_floats(floats, {**taken, **dict.fromkeys(pixels)}, outputs)
    heads = [Head(name, tuple(spec.shape[1:]), spec.dtype.name)
             for name, spec in zip(outputs, given.values(), strict=True)]  # fmt: skip
    source = SourceFile(file=path.resolve().name, format="saved-model", signature=chosen)
    return Loaded(call, tuple(inputs), tuple(heads), source, brought=brought)


def _chosen(path, names, chosen):
    """The name of the signature that is meant."""
    if not names:
        raise TfeffError(f"{path}: has no signature", "save it with model.export(FOLDER)")
    if chosen is None and SIGNATURE not in names and len(names) > 1:
        raise TfeffError(f"{path}: has the signatures {', '.join(names)}", "choose one: --signature NAME")
    name = chosen or (SIGNATURE if SIGNATURE in names else names[0])
    if name not in names:
        raise TfeffError(f"--signature {name}: {path} has no such one", f"choose {' or '.join(names)}")
    return name


def _calling_floats(function: Any, taken: Mapping[str, Any], outputs: Sequence[str]) -> Any:
    """The same of `byte_inputs.with_float_inputs`, whose 8-bit inputs (None in `taken`) take floats."""
    import tensorflow as tf

    def call(batch, training=False):
        values = list(batch) if isinstance(batch, list | tuple) else [batch]
        given = [tf.cast(value, tf.float32 if spec is None else spec.dtype)
                 for spec, value in zip(taken.values(), values, strict=True)]  # fmt: skip
        return dict(zip(outputs, function(*given), strict=True))

    return call


def _calling(signature: Any, taken: Mapping[str, Any], outputs: Mapping[str, str]) -> Any:
    """A signature as a function of its inputs in order, that gives its outputs by our names."""
    import tensorflow as tf

    def call(batch, training=False):
        values = list(batch) if isinstance(batch, list | tuple) else [batch]
        given = {name: tf.cast(value, spec.dtype)
                 for (name, spec), value in zip(taken.items(), values, strict=True)}  # fmt: skip
        made = signature(**given)
        return {ours: made[theirs] for ours, theirs in outputs.items()}

    return call
