"""From the NETWORK argument to a network: a name, a preset, or the user's own file. Shared by `info` and `export`."""

import sys
from importlib import import_module
from pathlib import Path

import click

from tfeff.errors import TfeffError


def source_options(function):
    """The options that say which network is meant."""
    options = [
        click.option("--input-size", metavar="N|HxW", help="Input size in pixels; the network's own without it."),
        click.option("--classes", type=int, help="Number of classes; the network's own without it."),
        click.option("--import", "imports", multiple=True, metavar="MODULE",
                     help="Import a module first that registers custom layers of a .keras file."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`224` or `224x320` (height x width) -> (h, w)."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise TfeffError(f"--input-size {text!r} is not a size", "give 224 or 224x320 (height x width)")
    return (int(parts[0]), int(parts[-1]))


def parse_values(text: str | None, option: str) -> tuple[float, ...] | None:
    """`127.5` or `123.7,116.3,103.5` -> floats."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise TfeffError(
            f"{option} {text!r} is not a list of numbers", "give one number, or one a channel, with commas"
        ) from None


def is_user_file(name: str) -> bool:
    """Whether NETWORK is a `.keras` file or a SavedModel folder rather than a name."""
    return name.endswith(".keras") or (Path(name).is_dir() and (Path(name) / "saved_model.pb").is_file())


def is_preset(name: str) -> bool:
    """Whether NETWORK is a bundled preset, its alias, or the path of a preset's JSON file."""
    from tfeff import presets

    bundled = name in presets.aliases() or name in presets.list_presets()
    return bundled or (name.endswith(".json") and Path(name).is_file())


def meant(name: str, *, own_weights: bool) -> str:
    """The preset where NETWORK is a network and its family's alias in one (`vargfacenet`), unless weights are given."""
    from tfeff import presets
    from tfeff.networks import index

    return name if own_weights or name not in index() else presets.aliases().get(name, name)


def check_known(name: str) -> None:
    """Raises for a NETWORK that is nothing, with the nearest names; before anything slow is imported."""
    from tfeff import presets
    from tfeff.networks import index, registry

    if is_user_file(name) or name in index() or is_preset(name):
        return
    if Path(name).exists():
        raise TfeffError(
            f"{name}: neither a .keras file, a SavedModel folder nor a preset's .json", "give one of these"
        )
    try:
        registry.get_network(name)  # newer than the index?
    except TfeffError:
        known = {*index(), *presets.aliases(), *presets.list_presets()}
        raise registry.unknown_name("network", name, known, "`tfeff list` shows all of them") from None


def build_subject(name, *, weights, random_weights, input_size, classes, mean, std, colour, imports, progress=None):
    """Builds what is to be exported; `progress` (bytes done, bytes in all) is told while weights are fetched.

    Raises:
        TfeffError: unknown name, options that do not go together, weights or a file that cannot be used.
    """
    from tfeff import presets
    from tfeff.cli.quiet import import_tensorflow
    from tfeff.networks import index

    told = _about_weights(name, weights, progress) if weights and not random_weights else None
    import_tensorflow()
    if is_user_file(name):
        if weights or random_weights or classes:
            raise TfeffError(f"{name}: holds its own weights", "leave --weights, --random-weights and --classes out")
        return _user_subject(Path(name), input_size, mean, std, colour, imports)
    if is_preset(name) and name not in index():
        if weights or random_weights or input_size or classes or mean or std or colour:
            raise TfeffError(
                f"preset {name}: brings its own weights, input size, classes and preprocessing",
                f"name the network instead: {presets.load_preset(name).network}",
            )
        return _preset_subject(presets.load_preset(name))
    if bool(weights) == bool(random_weights):
        raise TfeffError(
            f"network {name}: {'both --weights and --random-weights' if weights else 'has no weights'}",
            "give --weights FILE, or --random-weights to study size and latency, or export a preset (`tfeff list`)",
        )
    return _named_subject(name, weights, told, input_size, classes, mean, std, colour)


def _about_weights(name, weights, progress):
    """What a weight file says of itself, before anything slow is imported; a public one is fetched, and {}."""
    from tfeff.networks import index

    if is_user_file(name) or name not in index():
        return None
    from tfeff.weights.public import PREFIX, fetch, find_public

    if weights.split(":")[0] == PREFIX:
        fetch(find_public(name, weights), progress)
        return {}
    from tfeff.weights import read_metadata

    return read_metadata(Path(weights))


def _preset_subject(preset):
    from tfeff.export import Subject

    return Subject(
        model=preset.build(),
        name=preset.name,
        network=preset.network,
        preprocessing=preset.preprocessing,
        labels=preset.labels,
        preset=preset.name,
        dataset=preset.dataset,
    )


def _named_subject(name, weights, told, input_size, classes, mean, std, colour):
    """`told`: what the weight file says of itself; one that says nothing leaves the form to the options here."""
    import keras

    from tfeff.export import Subject
    from tfeff.networks import create, get_network

    arguments = {}
    if input_size:
        arguments["input_shape"] = (*input_size, 3)
        if max(input_size) <= 64 and told is None:
            arguments["small_image"] = True
    if classes:
        arguments["classes"] = classes
    keras.utils.set_random_seed(0)  # random weights are the same weights every time
    if not weights:
        model = create(name, **arguments)
        preprocessing = _preprocessing(model.input_shape[1:], mean or (128.0,), std or (128.0,), colour)
        notes = ("random weights: accuracy means nothing, size and latency do",)
        return Subject(model, name, name, preprocessing, random_weights=True, notes=notes)
    from tfeff.networks.weighted import build_with_weights

    model, told = build_with_weights(get_network(name), weights, **arguments)
    preprocessing, notes = _told_preprocessing(told, model.input_shape[1:], mean, std, colour)
    return Subject(model, name, name, preprocessing, dataset=told.get("dataset"), notes=notes)


def _told_preprocessing(told, shape, mean, std, colour):
    """Preprocessing by what a weight file says of itself, the caller's words first; and notes for the record."""
    from dataclasses import replace

    from tfeff.data import Preprocessing

    notes = [*told.get("notes", ())]
    if "source" in told:
        source, licence = told["source"], told.get("licence", "licence not known")
        notes.append(f"weights from {source['file']}, sha256 {source['sha256'][:16]}, {source['layout']}, {licence}")
    if "preprocessing" not in told:
        if told and (mean is None or std is None):
            notes.append(
                "how the weights' images were prepared is not known: 128 taken where --mean or --std is missing"
            )
        return _preprocessing(shape, mean or (128.0,), std or (128.0,), colour), tuple(notes)
    known = Preprocessing.from_dict(told["preprocessing"])
    sizes = [
        round(resized * now / was) for resized, now, was in zip(known.resize_size, shape, known.size, strict=False)
    ]
    changes = {"size": shape[:2], "resize_size": sizes, "colour": colour or known.colour}
    changes |= {k: v * shape[2] if len(v) == 1 else v for k, v in (("mean", mean), ("std", std)) if v}
    return replace(known, **changes), tuple(notes)


def _user_subject(path, input_size, mean, std, colour, imports):
    from tfeff.export import Subject

    if mean is None or std is None:
        raise TfeffError(
            f"{path}: how its images were preprocessed is not known",
            "give --mean and --std in pixel values (0 and 1 for a network that takes 0..255, 127.5 twice for -1..1)",
        )
    model, shape = (_load_keras if path.suffix == ".keras" else _load_saved_model)(path, input_size, imports)
    stem = path.stem if path.suffix == ".keras" else path.resolve().name
    preprocessing, graph, notes = _preprocessing(shape, mean, std, colour), None, ()
    if path.suffix == ".keras":
        from tfeff.export.quantize.simulation import float_model, is_fake_quant

        if is_fake_quant(model):
            graph, model = model, float_model(model)
            notes = (f"{path.name} is a fake-quant network: the float twin is the float network inside it",)
    return Subject(model, stem, path.name, preprocessing, fake_quant=graph, notes=notes)


def _load_keras(path, input_size, imports):
    if not path.is_file():
        raise TfeffError(f"{path}: no such file", "check the path")
    import keras

    from tfeff import layers  # noqa: F401  registers our layers
    from tfeff.export.quantize import fake_quant  # noqa: F401  registers those of a fake-quant network

    sys.path.insert(0, "")
    for module in imports:
        try:
            import_module(module)
        except ImportError as error:
            raise TfeffError(
                f"--import {module}: {error}", "give a module that can be imported from this folder"
            ) from None
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras has no type of its own for unreadable files
        reason = str(error).strip().splitlines()[0][:200]
        raise TfeffError(
            f"{path}: cannot be loaded ({reason})",
            "save it with model.save('x.keras'); --import MODULE registers custom layers",
        ) from None
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise TfeffError(
            f"{path}: has no graph of layers", "build the model functionally: keras.Model(inputs, outputs)"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.inputs[0].shape) != 4:
        raise TfeffError(
            f"{path}: needs one image input and one output, it has {len(model.inputs)} and {len(model.outputs)}"
        )
    return model, _static_shape(path, tuple(model.inputs[0].shape[1:]), input_size)


def _load_saved_model(path, input_size, imports):
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(path))
        signature = loaded.signatures["serving_default"]
    except (OSError, KeyError, ValueError) as error:
        raise TfeffError(f"{path}: cannot be loaded ({str(error).splitlines()[0][:200]})", "export it anew") from None
    (_, inputs), outputs = signature.structured_input_signature, signature.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise TfeffError(f"{path}: needs one image input and one output, it has {len(inputs)} and {len(outputs)}")
    (name, spec), (output,) = next(iter(inputs.items())), outputs

    def call(image, training=False):
        return signature(**{name: tf.cast(image, spec.dtype)})[output]

    call.keep_alive = loaded  # the signature holds its variables by weak references only
    return call, _static_shape(path, tuple(spec.shape[1:]), input_size)


def _static_shape(path, shape, input_size):
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise TfeffError(f"{path}: input {shape}, an image of (h, w, 1) or (h, w, 3) is needed")
    fixed = tuple(have or want for have, want in zip(shape[:2], input_size or (None, None), strict=True))
    if None in fixed:
        raise TfeffError(f"{path}: its input size is open", "give --input-size")
    if input_size and fixed != tuple(input_size):
        raise TfeffError(f"{path}: takes {fixed[0]}x{fixed[1]} only, --input-size says {input_size[0]}x{input_size[1]}")
    return (*fixed, shape[2])


def _preprocessing(shape, mean, std, colour):
    from tfeff.data import Preprocessing

    channels = shape[2]
    colour = colour or ("gray" if channels == 1 else "rgb")
    mean, std = (values * channels if len(values) == 1 else values for values in (mean, std))
    return Preprocessing(size=tuple(shape[:2]), colour=colour, mean=mean, std=std)


def describe_network(name, input_size, classes, imports):
    """What `tfeff info` says: counts and published figures (the latter only in the published form)."""
    facts, model, _ = described_model(name, input_size, classes, imports)
    from tfeff.cost import count

    try:
        counted = count(model).as_dict()
    except (ValueError, AttributeError) as error:
        raise TfeffError(f"{name}: {error}") from None
    return facts | {"counted": counted}


def described_model(name, input_size, classes, imports):
    """The facts of `describe_network` without the counts, the model, and the name of its network as records have it."""
    from tfeff import presets
    from tfeff.cli.quiet import import_tensorflow
    from tfeff.networks import get_network, index

    check_known(name)
    import_tensorflow()
    from tfeff.cost import count_as_published

    facts = {"network": name, "paper": "", "published": {}, "training": {}, "dataset": None}
    architecture = name
    if is_user_file(name):
        model, shape = _load_keras(Path(name), input_size, imports)
        if None in model.input_shape[1:]:
            model = _with_size(model, shape)
        architecture = Path(name).name
    elif name in index() or not is_preset(name):  # `vargfacenet` is both; its published figures are the network's
        network = get_network(name)
        arguments = {"input_shape": (*input_size, 3)} if input_size else {}
        arguments |= {"classes": classes} if classes else {}
        model = network(**arguments)
        facts |= {"paper": network.paper, "published": {} if arguments else dict(network.published)}
    else:
        preset = presets.load_preset(name)
        model = preset.build()
        architecture = preset.network
        training = {key: value for key, value in preset.training.items() if key != "history"}
        facts |= {"network": preset.name, "paper": get_network(preset.network).paper, "training": training}
        facts |= {"dataset": preset.dataset}
    facts |= {"input_shape": list(model.input_shape[1:]), "classes": model.output_shape[-1]}
    facts |= {"counted_as_published": count_as_published(model, facts["published"])}
    return facts, model, architecture


def _with_size(model, shape):
    """The model for images of one size, for counting only: its weights are random."""
    import keras

    return keras.models.clone_model(model, input_tensors=keras.Input(shape))
