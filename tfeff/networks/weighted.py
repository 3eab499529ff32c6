"""Networks with weights from a file: one of ours, another project's, or a public one that is fetched first."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfeff.errors import TfeffError
from tfeff.networks.registry import Network, get_network, index
from tfeff.weights import load_weights, read_metadata
from tfeff.weights.layouts import find_layout, get_layout, list_layouts
from tfeff.weights.metadata import fingerprint, in_words
from tfeff.weights.public import PREFIX, fetch, find_by_hash, find_public
from tfeff.weights.torch_layout import import_state_dict, read_state_dict

_FREE = ("input_shape", "include_top", "features_only", "dropout", "name")  # may differ from what the weights came from


def create_with_weights(network: Network, weights: str | Path, **arguments: Any) -> Any:
    """`tfeff.create(NAME, weights=...)`; see there."""
    return build_with_weights(network, weights, **arguments)[0]


def build_with_weights(
    network: Network, weights: str | Path, progress: Callable[[int, int], None] | None = None, **arguments: Any
) -> tuple[Any, dict[str, Any]]:
    """The network with the weights, and what the file says of itself (nothing: an empty dictionary).

    Args:
        weights: a file of ours, or "pretrained", "pretrained:NAME" for a public one.
        progress: called with (bytes done, bytes in all) while a public file is fetched.
        arguments: what the network is built with; what the file says about that need not be repeated.

    Raises:
        TfeffError: a file that cannot be fetched or read, that is of another network, or arguments that contradict it.
    """
    if str(weights).split(":")[0] == PREFIX:
        public = find_public(network.name, str(weights))
        model, metadata = import_file(fetch(public, progress), network.name, layout=public.layout)
        return _rebuilt(network, model, _merged(network, metadata, weights, arguments), metadata), metadata
    path = Path(weights)
    told = read_metadata(path)
    if told is None:
        model = network(**arguments)
        load_weights(model, path)
        return model, {}
    arguments = _merged(network, told, weights, arguments)
    model = network(**_told(told))
    load_weights(model, path)
    return _rebuilt(network, model, arguments, told), told


def _told(metadata):
    arguments = dict(metadata["arguments"])
    if "input_shape" in arguments:
        arguments["input_shape"] = tuple(arguments["input_shape"])
    return arguments


def _merged(network, metadata, weights, arguments):
    """The file's arguments and the caller's; the caller may change what does not touch the weights."""
    if metadata["network"] != network.name:
        raise TfeffError(
            f"weights {weights}: of network {metadata['network']}, not of {network.name}",
            "name the network they are of",
        )
    told = _told(metadata)
    for key, value in arguments.items():
        if key not in _FREE and key in told and told[key] != value:
            raise TfeffError(
                f"network {network.name}: {key}={value!r}, but weights {weights} are for {key}={told[key]!r}",
                f"leave it out, they bring their own options ({in_words(metadata)})",
            )
    return {**told, **arguments}


def _rebuilt(network, model, arguments, metadata):
    """`model`, or where the arguments ask for another form of it, that form with the same values."""
    told = _told(metadata)
    if all(key in told and told[key] == value for key, value in arguments.items()):
        return model
    others = {key: value for key, value in arguments.items() if key not in told and key not in _FREE}
    if others and fingerprint(network(**told, **others)) != fingerprint(model):
        given = ", ".join(f"{key}={value!r}" for key, value in others.items())
        raise TfeffError(
            f"network {network.name}: {given} makes another graph than the weights were made for",
            f"leave it out, they bring their own options ({in_words(metadata)})",
        )
    other = network(**arguments)
    values = {variable.path: variable for variable in model.variables}
    for variable in other.variables:
        if not variable.path.endswith("seed_generator_state"):
            source = values.get(variable.path)
            if source is None or source.shape != variable.shape:
                raise TfeffError(
                    f"network {network.name}: the weights have no place for {variable.path} of the form asked for",
                    f"they were made for {in_words(metadata)}; leave other options out",
                )
            variable.assign(source)
    return other


def import_file(
    path: Path, name: str, *, layout: str | None = None, classes: int | None = None
) -> tuple[Any, dict[str, Any]]:
    """Builds the network that another project's weight file was trained in, and fills it.

    Args:
        path: `.safetensors`, `.npz`, `.pth`, `.pt` or `.bin`, a state dict with the source's names.
        name: of the network.
        layout: the source, a key of the family's layouts; found by the names of the entries without it.
        classes: as the file's classifier has them without it.

    Returns:
        The model, and the metadata for `save_weights`.

    Raises:
        TfeffError: an unknown network or layout, a file that cannot be read, or one with entries that are missing, left
        over or of another shape; all are listed.
    """
    network, path = get_network(name), Path(path)
    if layout is not None:
        get_layout(network.family, layout, name)
    state: Mapping[str, Any] = read_state_dict(path)
    if layout is None:
        known = list_layouts(network.family, name)
        layout = next(iter(known)) if len(known) == 1 else None
        layout = layout or find_layout(network(), network.family, name, state, path)
    chosen = get_layout(network.family, layout, name)
    state = chosen.adapt(state)
    model = network(**chosen.options)
    head = state.get(f"{chosen.places(model).get('logits')}.weight")
    own, found = _classes(network, model, chosen, state)
    classes = classes or found or own
    if classes != own:
        model = network(classes=classes, **chosen.options)
    try:
        import_state_dict(
            model, state, chosen.places(model), ignore=chosen.unused, names=chosen.entries, source=f"{path} ({layout})"
        )
    except TfeffError as error:
        other = _another_width(network, state, chosen, head)
        raise TfeffError(
            error.what, f"its size is that of {other}: --network {other}" if other else error.mend
        ) from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    metadata = {
        "network": name,
        "arguments": {"input_shape": list(model.input_shape[1:]), "classes": classes, **chosen.options},
        "source": {"file": path.name, "sha256": digest, "layout": layout},
    }
    public = find_by_hash(name, digest)
    return model, {**metadata, **(public.told() if public else {})}


def _classes(network, model, layout, state):
    """How many classes the model has, and how many the file's last convolution or fully connected layer tells; None
    where it is not there."""
    decode = network.meaning(model, **layout.options).decode
    levels = decode.get("levels")
    if levels is None:
        name, own, channels, anchors = "logits", model.output_shape[-1], model.output_shape[-1], 1
    else:  # a detector, which has anchors and may have a background
        name, own, anchors = levels[0]["scores"], decode["classes"], max(len(levels[0].get("anchors", ())), 1)
        channels = model.output[name].shape[-1]
    weight = state.get(f"{layout.places(model).get(name)}.weight")
    if weight is None or getattr(weight, "ndim", 0) < 2:
        return own, None
    return own, own + (int(weight.shape[0]) - channels) // anchors


def _another_width(network, state, layout, head):
    """The network of the family whose count of values is the file's, within a hundredth; None without one."""
    used = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked") and not k.startswith(layout.unused)}
    values = sum(getattr(value, "size", 0) for value in used.values())
    if head is not None and getattr(head, "ndim", 0) >= 2:
        values += (1000 - head.shape[0]) * (head.shape[1] + 1)  # the index counts 1000 classes
    near = {
        name: abs(entry["counted"]["values"] / max(values, 1) - 1)
        for name, entry in index().items()
        if entry["family"] == network.family and name != network.name
    }
    best = min(near, key=lambda name: near[name], default=None)
    return best if best and near[best] < 0.01 else None
