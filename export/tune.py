"""Choosing the form of a rewrite by measurement: `tfeff export --tune`.

For each rewrite that has several forms, and each distinct shape at which the network has a place for it, every form
that the target can run becomes a small file: that place, what melts into it (BN, ReLU), and for what works on each
value alone a 1x1 depthwise convolution on either side, as it has in a network. All forms of a place are timed in one
interleaved run on the device. The target's own form is kept unless another is quicker beyond the noise.

What is carried through the graph, a folded shuffle or a shift as slices with its order of channels, has no place to be
timed at: there the whole network is timed both ways.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.errors import TfeffError
from tfeff.export import quantize
from tfeff.export.on_device import time_files
from tfeff.export.targets import Target

# In the order in which they are applied when the target does not name them.
TUNED = ("hard_swish", "prelu", "strided_dilated", "average_pool", "padding", "group_conv", "global_pool")
_IMAGES = 8
_SECONDS = 3.0  # for the forms of one place


def tune(
    subject,
    target: Target,
    request,
    precision: quantize.Precision,
    folder: Path,
    progress: Callable[[str, int, int], None],
) -> tuple[tuple[str, ...], dict[str, dict[str, str]], dict[str, Any]]:
    """Times the candidate forms of each place.

    Args:
        subject: a functional Keras model, or something in which there is nothing to tune.
        request: `tune` of it says where, as `tfeff bench --on` takes it; `threads`, `seed` and a phone's tool how.
        precision: of the files.
        folder: a scratch folder.

    Returns:
        The target's specs with the tuned rewrites added; by rewrite the form for each `shape_key`; for the record,
        what was tried and what won.
    """
    specs, seed = complete(target.rewrites), request.seed
    sites = _sites(subject, specs, target.refuses)
    jobs, files = [], {}
    for number, site in enumerate(sites):
        progress("building forms", number, len(sites))
        for form in site["forms"]:
            name = f"site{number}.{form}"
            saved, path = folder / name, folder / f"{name}.tflite"
            shape = _write(site, form, saved)
            calibration = folder / f"site{number}.npy"
            np.save(calibration, np.random.default_rng(seed).standard_normal((_IMAGES, *shape)).astype(np.float32))
            jobs.append(quantize.Job(str(saved), precision.name, precision.io[0], str(path), str(calibration)))
            files[number, form] = path
    if jobs:
        quantize.convert(jobs, None, folder)
    choices: dict[str, dict[str, str]] = {}
    tried, environment = [], {}
    for number, site in enumerate(sites):
        progress("tuning", number, len(sites))
        entry, environment = _time(site, [files[number, form] for form in site["forms"]], request)
        tried.append(entry)
        choices.setdefault(site["rewrite"], {})[site["key"]] = entry["chosen"]
    for name in ("channel_shuffle", "shift"):
        forms = _whole(name, subject, specs, target.refuses)
        if not forms:
            continue
        progress("tuning", len(sites), len(sites))
        paths = _networks(subject, name, forms, choices, precision, folder, seed)
        site = {"rewrite": name, "layer": None, "forms": list(forms), "places": 1}
        entry, environment = _time(site, paths, request)
        tried.append(entry)
        specs = forms[entry["chosen"]]
    return specs, choices, {"device": request.tune.partition(":")[0], **environment, "places": tried}


def complete(specs: tuple[str, ...]) -> tuple[str, ...]:
    """The specs, and behind them each tuned rewrite that is not among them, in the form that leaves all as it is."""
    from tfeff.export.rewrites import load_rewrite

    named = {spec.partition(":")[0] for spec in specs}
    return (*specs, *(f"{name}:{load_rewrite(name).forms[0]}" for name in TUNED if name not in named))


def _sites(subject, specs, refused):
    """One for each rewrite and distinct shape: the forms to try, the target's first."""
    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.core import shape_key
    from tfeff.export.rewrites.graph import GraphView, as_functional, inline

    functional = as_functional(subject.model) if subject.is_keras else None
    if functional is None:
        return []
    model = inline(functional)
    graph, sites = GraphView(model), {}
    for rewrite in (load_rewrite(spec) for spec in specs if spec.partition(":")[0] in TUNED):
        for layer in model.operations:
            if not rewrite.is_place(layer, graph):
                continue
            key = shape_key(layer)
            if (rewrite.name, key) in sites:
                sites[rewrite.name, key]["places"] += 1
                continue
            forms = [form for form in rewrite.candidates(layer) if f"{rewrite.name}:{form}" not in refused]
            forms.sort(key=lambda form: form != rewrite.form)  # the target's own first, the others in their order
            if len(forms) > 1:
                sites[rewrite.name, key] = {
                    "rewrite": rewrite.name, "key": key, "layer": layer, "graph": graph, "forms": forms, "places": 1,
                }  # fmt: skip
    return list(sites.values())


def _whole(name, subject, specs, refused):
    """The specs of each form of what is decided for the whole network, the target's own first; empty where the network
    has none, or the target no choice."""
    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.core import rewrite_once
    from tfeff.export.rewrites.graph import as_functional

    probe = {"channel_shuffle": "channel_shuffle:fold", "shift": "freeze_shift"}[name]
    if not subject.is_keras or as_functional(subject.model) is None:
        return {}
    if f"{name}:native" in refused:
        return {}
    if not rewrite_once(subject.model, load_rewrite(probe))[1]:
        return {}
    without = tuple(spec for spec in specs if spec not in (probe, "slice_shift"))
    if name == "shift":
        forms = {"slices": ("slice_shift", probe, *without), "depthwise": (probe, *without)}
        return forms if "slice_shift" in specs else dict(reversed(forms.items()))
    start = specs.index("freeze_shift") + 1  # behind the shifts, in front of all else
    left = tuple(spec for spec in specs if spec != probe)
    forms = {"fold": (*left[:start], probe, *left[start:]), "native": left}
    return forms if probe in specs else dict(reversed(forms.items()))


def _networks(subject, name, forms, choices, precision, folder, seed):
    """Files of the whole network, one a form."""
    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.core import rewrite_once

    shape = subject.preprocessing.shape
    images = folder / f"{name}.npy"
    np.save(images, np.random.default_rng(seed).standard_normal((_IMAGES, *shape)).astype(np.float32))
    jobs = []
    for form, specs in forms.items():
        model = subject.model
        for spec in specs:
            model, _ = rewrite_once(model, load_rewrite(spec, choices.get(spec.partition(":")[0])))
        saved, path = folder / f"{name}.{form}", folder / f"{name}.{form}.tflite"
        quantize.write_saved_model(model, saved, shape)
        jobs.append(quantize.Job(str(saved), precision.name, precision.io[0], str(path), str(images)))
    quantize.convert(jobs, None, folder)
    return [folder / f"{name}.{form}.tflite" for form in forms]


def _write(site, form, folder):
    """A SavedModel of one place in one form; the shape of its input."""
    import keras

    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.core import again
    from tfeff.export.rewrites.graph import inline
    from tfeff.export.rewrites.matching import is_batch_norm, is_relu

    layer, graph = site["layer"], site["graph"]
    alone = site["rewrite"] in ("hard_swish", "prelu", "strided_dilated")
    image = x = keras.Input(layer.input.shape[1:])
    x = _tap(x, "front") if alone else x
    for each in _context(layer, graph, site["rewrite"], is_batch_norm, is_relu):
        x = again(each, x) if isinstance(each, keras.layers.Layer) else _once_more(each, x)
    x = _tap(x, "behind") if alone else x
    model, _ = load_rewrite(f"{site['rewrite']}:{form}").apply(inline(keras.Model(image, x)))
    quantize.write_saved_model(model, folder, image.shape[1:])
    return image.shape[1:]


def _context(layer, graph, rewrite, is_batch_norm, is_relu):
    """The place, and the layers around it without which a form would not be what it is in the network."""
    chain = graph.chain(layer, is_batch_norm, is_relu) if rewrite == "group_conv" else [layer]
    if rewrite in ("padding", "average_pool"):  # a zero padding and what reads it
        following = graph.only_consumer(layer)
        chain = [layer] if following is None else [layer, *graph.chain(following, is_batch_norm, is_relu)]
    return chain


def _once_more(operation, x):
    (node,) = operation._inbound_nodes
    args, kwargs = node.arguments.fill_in({id(node.input_tensors[0]): x})
    return operation(*args, **kwargs)


def _tap(x, name):
    """A 1x1 depthwise convolution, cheap, that the runtime takes in the same breath as what stands beside it."""
    from keras import layers

    if len(x.shape) != 4:
        return x
    return layers.DepthwiseConv2D(1, depthwise_initializer="ones", name=name)(x)


def _time(site, paths, request):
    timing = time_files(paths, [request.tune], request, max_seconds=_SECONDS)
    results = timing["results"]
    names = dict(zip((str(path) for path in paths), site["forms"], strict=True))
    forms = {
        names[one["file"]]: {key: one[key] for key in ("median_ms", "ci95_ms", "sha256")}
        for one in results
        if "void" not in one
    }
    wrong = {names[result["file"]]: result["void"] for result in results if "void" in result}
    own = site["forms"][0]
    quicker = [names[ratio["a"]] for ratio in timing["ratios"] if ratio["verdict"] == "faster"]
    if own in wrong:  # a phone computes it wrongly: whatever is right is better
        quicker = list(forms)
        if not quicker:
            raise TfeffError(
                f"{request.tune}: computes no form of {site['rewrite']} rightly: {wrong[own]}",
                "see `tfeff bench --on` of any file there; try another --benchmark-binary",
            )
    chosen = min(quicker, key=lambda form: forms[form]["median_ms"], default=own)
    entry = {
        "rewrite": site["rewrite"],
        "layer": site["layer"].name if site["layer"] is not None else "whole network",
        "input": list(site["layer"].input.shape[1:]) if site["layer"] is not None else None,
        "places": site["places"],
        "table": own,
        "forms": forms,
        "chosen": chosen,
        **({"wrong": wrong} if wrong else {}),
    }
    first = results[0]
    return entry, {key: first[key] for key in ("runtime", "version", "threads")} | {"cpu": first["environment"]["cpu"]}
