"""Choosing the form of a rewrite by measurement: `tfeff export --tune`.

For each rewrite that has several forms, and each distinct shape at which the network has a place for it, every form
that the target can run becomes a small file: that place, what melts into it (BN, ReLU), and for what works on each
value alone a 1x1 depthwise convolution on either side, as it has in a network. All forms of a place are timed in one
interleaved run on the device. The target's own form is kept unless another is quicker beyond the noise.

What is carried through the graph, a folded shuffle or a shift as slices with its order of channels, has no place to be
timed at: there the whole network is timed both ways.
"""

from dataclasses import dataclass
from typing import Any

from tfeff.calibration import from_arrays
from tfeff.data import InputPort
from tfeff.errors import TfeffError
from tfeff.export import quantize
from tfeff.export.context import ExportContext
from tfeff.export.on_device import time_files
from tfeff.export.steps import some_inputs
from tfeff.record.schema import TunedForm, TunedPlace, Tuning

# In the order in which they are applied when the target does not name them.
TUNED = ("hard_swish", "prelu", "strided_dilated", "average_pool", "padding", "group_conv", "global_pool")
_SAMPLES = 8
_SECONDS = 3.0  # for the forms of one place


@dataclass(frozen=True)
class Tuned:
    """What `--tune` found.

    Attributes:
        specs: the target's, with the tuned rewrites added.
        choices: by rewrite, the form for each `shape_key`.
        record: what was tried and what won.
    """

    specs: tuple[str, ...]
    choices: dict[str, dict[str, str]]
    record: Tuning


@dataclass
class _Site:
    """A place at which forms are timed; the whole network where `layer` is None.

    Attributes:
        forms: to try, the target's own first.
        places: how many there are of its shape.
    """

    rewrite: str
    forms: list[str]
    key: str = ""
    layer: Any = None
    graph: Any = None
    places: int = 1

    @property
    def name(self) -> str:
        return self.layer.name if self.layer is not None else "whole network"


def tune(context: ExportContext) -> Tuned:
    """Times the candidate forms of each place of a model, which need not have any."""
    specs = complete(context.target.rewrites)
    sites = _sites(context, specs)
    files = _files(context, sites)
    choices: dict[str, dict[str, str]] = {}
    tried, told = [], {}
    for number, site in enumerate(sites):
        context.progress("tuning", number, len(sites))
        place, told = _time(site, [files[number, form] for form in site.forms], context.request)
        tried.append(place)
        choices.setdefault(site.rewrite, {})[site.key] = place.chosen
    for name in ("channel_shuffle", "shift"):
        forms = _whole(name, context, specs)
        if not forms:
            continue
        context.progress("tuning", len(sites), len(sites))
        paths = _networks(context, name, forms, choices)
        place, told = _time(_Site(name, list(forms)), paths, context.request)
        tried.append(place)
        specs = forms[place.chosen]
    device = context.request.tune or ""
    return Tuned(specs, choices, Tuning(device=device.partition(":")[0], places=tried, **told))


def _files(context, sites):
    """A file for each form of each place, by number of the place and form."""
    folder, jobs, files = context.folder, [], {}
    for number, site in enumerate(sites):
        context.progress("building forms", number, len(sites))
        samples = None
        for form in site.forms:
            name = f"site{number}.{form}"
            saved, path = folder / name, folder / f"{name}.tflite"
            port = _write(site, form, saved)
            samples = samples or _noise([port], folder, f"site{number}", context.request.seed)
            jobs.append(_job(context, saved, path, samples))
            files[number, form] = path
    if jobs:
        quantize.convert(jobs, None, folder)
    return files


def complete(specs: tuple[str, ...]) -> tuple[str, ...]:
    """The specs, and behind them each tuned rewrite that is not among them, in the form that leaves all as it is."""
    from tfeff.export.rewrites import load_rewrite

    named = {spec.partition(":")[0] for spec in specs}
    return (*specs, *(f"{name}:{load_rewrite(name).forms[0]}" for name in TUNED if name not in named))


def _sites(context, specs) -> list[_Site]:
    """One for each rewrite and distinct shape."""
    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.core import inlined, shape_key
    from tfeff.export.rewrites.graph import GraphView, as_functional

    functional = as_functional(context.model.callable) if context.model.is_keras else None
    if functional is None:
        return []
    model = inlined(functional)
    graph, refused = GraphView(model), context.target.refuses
    sites: dict[tuple[str, str], _Site] = {}
    for rewrite in (load_rewrite(spec) for spec in specs if spec.partition(":")[0] in TUNED):
        for layer in model.operations:
            if not rewrite.is_place(layer, graph):
                continue
            key = shape_key(layer)
            if (rewrite.name, key) in sites:
                sites[rewrite.name, key].places += 1
                continue
            forms = [form for form in rewrite.candidates(layer) if f"{rewrite.name}:{form}" not in refused]
            forms.sort(key=lambda form: form != rewrite.form)  # the target's own first, the others in their order
            if len(forms) > 1:
                sites[rewrite.name, key] = _Site(rewrite.name, forms, key, layer, graph)
    return list(sites.values())


def _whole(name, context, specs):
    """The specs of each form of what is decided for the whole network, the target's own first; empty where the network
    has none, or the target no choice."""
    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.core import rewrite_once
    from tfeff.export.rewrites.graph import as_functional

    model = context.model
    probe = {"channel_shuffle": "channel_shuffle:fold", "shift": "freeze_shift"}[name]
    if not model.is_keras or as_functional(model.callable) is None:
        return {}
    if f"{name}:native" in context.target.refuses:
        return {}
    if not rewrite_once(model.callable, load_rewrite(probe))[1]:
        return {}
    without = tuple(spec for spec in specs if spec not in (probe, "slice_shift"))
    if name == "shift":
        forms = {"slices": ("slice_shift", probe, *without), "depthwise": (probe, *without)}
        return forms if "slice_shift" in specs else dict(reversed(forms.items()))
    start = specs.index("freeze_shift") + 1  # behind the shifts, in front of all else
    left = tuple(spec for spec in specs if spec != probe)
    forms = {"fold": (*left[:start], probe, *left[start:]), "native": left}
    return forms if probe in specs else dict(reversed(forms.items()))


def _networks(context, name, forms, choices):
    """Files of the whole network, one a form."""
    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.core import rewrite_once

    model, folder = context.model, context.folder
    samples = _noise(model.inputs, folder, name, context.request.seed)
    jobs, paths = [], []
    for form, specs in forms.items():
        made = model.callable
        for spec in specs:
            made, _ = rewrite_once(made, load_rewrite(spec, choices.get(spec.partition(":")[0])))
        saved, path = folder / f"{name}.{form}", folder / f"{name}.{form}.tflite"
        quantize.write_saved_model(made, saved, model.inputs, model.outputs)
        jobs.append(_job(context, saved, path, samples))
        paths.append(path)
    quantize.convert(jobs, None, folder)
    return paths


def _write(site, form, folder) -> InputPort:
    """A SavedModel of one place in one form; its input."""
    import keras

    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.copying import again
    from tfeff.export.rewrites.graph import inline
    from tfeff.export.rewrites.matching import is_batch_norm, is_relu

    layer, graph = site.layer, site.graph
    alone = site.rewrite in ("hard_swish", "prelu", "strided_dilated")
    taken = x = keras.Input(layer.input.shape[1:])
    x = _tap(x, "front") if alone else x
    for each in _context(layer, graph, site.rewrite, is_batch_norm, is_relu):
        x = again(each, x) if isinstance(each, keras.layers.Layer) else _once_more(each, x)
    x = _tap(x, "behind") if alone else x
    model, _ = load_rewrite(f"{site.rewrite}:{form}").apply(inline(keras.Model(taken, x)))
    port = InputPort("x", tuple(taken.shape[1:]))
    quantize.write_saved_model(model, folder, [port], ["y"])
    return port


def _noise(ports, folder, name, seed):
    """Calibration inputs in a folder, for files that are timed only."""
    (folder / name).mkdir()
    return from_arrays(some_inputs(ports, _SAMPLES, seed), folder / name, "seeded noise")


def _job(context, saved, path, samples):
    precision = context.precision
    return quantize.Job(str(saved), precision.name, precision.io[0], str(path), samples.paths)


def _context(layer, graph, rewrite, is_batch_norm, is_relu):
    """The place, and the layers around it without which a form would not be what it is in the network."""
    chain = graph.chain(layer, is_batch_norm, is_relu) if rewrite == "group_conv" else [layer]
    if rewrite in ("padding", "average_pool"):  # a zero padding and what reads it
        following = graph.only_consumer(layer)
        chain = [layer] if following is None else [layer, *graph.chain(following, is_batch_norm, is_relu)]
    return chain


def _once_more(operation, x):
    from tfeff.layers.keras_private import only_node

    node = only_node(operation)
    args, kwargs = node.arguments({id(node.inputs[0]): x})
    return operation(*args, **kwargs)


def _tap(x, name):
    """A 1x1 depthwise convolution, cheap, that the runtime takes in the same breath as what stands beside it."""
    from keras import layers

    if len(x.shape) != 4:
        return x
    return layers.DepthwiseConv2D(1, depthwise_initializer="ones", name=name)(x)


def _time(site, paths, request):
    """What was timed at a place, and what it was timed with."""
    timing = time_files(paths, [request.tune], request, max_seconds=_SECONDS)
    results = timing.results
    names = dict(zip((str(path) for path in paths), site.forms, strict=True))
    forms = {
        names[one.file]: TunedForm(median_ms=one.times.median_ms, ci95_ms=one.times.ci95_ms, sha256=one.sha256)
        for one in results
        if one.times is not None
    }
    wrong = {names[one.file]: one.void for one in results if one.void}
    own = site.forms[0]
    quicker = [names[ratio.a] for ratio in timing.ratios if ratio.verdict == "faster"]
    if own in wrong:  # a phone computes it wrongly: whatever is right is better
        quicker = list(forms)
        if not quicker:
            raise TfeffError(
                f"{request.tune}: computes no form of {site.rewrite} rightly: {wrong[own]}",
                "see `tfeff bench --on` of any file there; try another --benchmark-binary",
            )
    place = TunedPlace(
        rewrite=site.rewrite,
        layer=site.name,
        input=None if site.layer is None else list(site.layer.input.shape[1:]),
        places=site.places,
        table=own,
        forms=forms,
        chosen=min(quicker, key=lambda form: forms[form].median_ms, default=own),
        wrong=wrong,
    )
    first = results[0]
    told = {"runtime": first.runtime, "version": first.version, "threads": first.threads}
    return place, told | {"cpu": first.environment["cpu"]}
