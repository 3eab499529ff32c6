"""`tfeff compare`: accuracy of a quantized file against its float twin."""

from pathlib import Path

import click

from tfeff.cli.output import output_options
from tfeff.errors import GateFailed, TfeffError

_FASHION_MNIST = ("fashion_mnist", "fashion_mnist_sample")
_NOT_HERE = "install the Debian package dataset-fashion-mnist, or set TFEFF_DATA to the folder with its .gz files"
_DOWNLOAD = "python -c 'import keras; keras.datasets.fashion_mnist.load_data()' downloads it once"


@click.command(name="compare")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--against", type=click.Path(path_type=Path), help="The float .tflite [default: the record's twin].")
@click.option("--dataset", help="fashion_mnist, a folder with one folder a class, or an .npz [default: the record's].")
@click.option("--samples", type=click.IntRange(min=1), help="Take a random subset of so many images.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of subset and interval.")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="For the two files together.")
@click.option("--max-drop", type=click.FloatRange(min=0), help="Exit 1 when top-1 falls by more points than this.")
@click.option("--mean", help="Without a record: subtracted from pixels (0..255); one number, or one a channel.")
@click.option("--std", help="Without a record: what pixels are then divided by.")
@click.option("--no-record", is_flag=True, help="Do not write the result into the artifact's record.")
@output_options
def command(artifact, against, dataset, samples, seed, threads, max_drop, mean, std, no_record, out):
    """Accuracy of a quantized ARTIFACT against its float twin, on the same images.

    The difference comes with a 95 % interval (paired bootstrap) and McNemar's exact p: a difference whose interval
    holds 0 may be chance. Preprocessing, labels, twin and dataset are read from the artifact's record (its .json).
    """
    from tfeff.artifact import check_tflite, open_artifact, verify_twin
    from tfeff.compare import compare, record_accuracy

    opened = open_artifact(artifact)
    if against is None:
        against = verify_twin(opened)
        if against is None:
            raise TfeffError(f"{opened.path}: no record names its float twin", "--against FLOAT.tflite")
    elif check_tflite(against) == opened.sha256:
        raise TfeffError(f"{against}: is the same file as {opened.path}", "--against its float twin")
    preprocessing = _preprocessing(opened, mean, std)
    images, note = _open_dataset(opened, dataset)
    with out.progress("comparing") as progress:
        result = compare(
            opened.path, against, images, preprocessing,
            labels=_labels(opened), samples=samples, threads=threads, seed=seed, progress=progress,
        )  # fmt: skip
    passed = max_drop is None or -result["delta"] <= max_drop
    _show(out, opened, against, result)
    if note:
        out.say(note)
    out.json({"file": opened.path.name, "float_file": against.name, **result, "max_drop": max_drop, "passed": passed})
    if not no_record:
        record_accuracy(opened, result)
    if not passed:
        raise GateFailed(
            f"{opened.path}: top-1 falls by {-result['delta']:.2f} points ({result['float_top1']:.2f} % -> "
            f"{result['quantized_top1']:.2f} %), more than --max-drop {max_drop:g}",
            "export with more calibration images or quantization-aware training, or allow a larger drop",
        )


def _labels(artifact):
    labels = (artifact.record or {}).get("labels") or None
    if labels and not (isinstance(labels, list) and all(isinstance(label, str) for label in labels)):
        raise TfeffError(f"{artifact.path}: the labels of its record are no list of names", "export it anew")
    return labels


def _preprocessing(artifact, mean, std):
    from tfeff.cli.model import parse_values
    from tfeff.compare import Runner
    from tfeff.data import Preprocessing

    mean, std = parse_values(mean, "--mean"), parse_values(std, "--std")
    recorded = (artifact.record or {}).get("preprocessing")
    if recorded:
        if mean or std:
            raise TfeffError(f"{artifact.path}: its record says the preprocessing", "leave out --mean and --std")
        return Preprocessing.from_dict(recorded)
    if not mean or not std:
        raise TfeffError(
            f"{artifact.path}: no record says its preprocessing",
            "give --mean and --std in pixel units, such as --mean 127.5 --std 127.5",
        )
    height, width, channels = Runner(artifact.path).shape
    if channels not in (1, 3):
        raise TfeffError(
            f"{artifact.path}: takes images of {channels} channels", "compare networks for grey or RGB images"
        )
    mean, std = (values * channels if len(values) == 1 else values for values in (mean, std))
    return Preprocessing((height, width), colour="rgb" if channels == 3 else "gray", mean=mean, std=std)


def _open_dataset(artifact, spec):
    """The images to compare on, and a line to say about them, if any."""
    from tfeff.data import default_evaluation, open_dataset

    if spec:
        if spec == "fashion_mnist" and default_evaluation() != spec:  # opening it would import Keras to download it
            raise TfeffError("dataset fashion_mnist: not on this machine", f"{_NOT_HERE}; or {_DOWNLOAD}")
        return open_dataset(spec, "test"), None
    spec = _recorded_dataset(artifact.record or {})
    if spec is None:
        raise TfeffError(f"{artifact.path}: no record says what to compare it on", "--dataset FOLDER, .npz or name")
    if spec not in _FASHION_MNIST:
        if not Path(spec).exists():
            raise TfeffError(
                f"{artifact.path}: its record names the dataset {spec}, which is not here", "give --dataset"
            )
        return open_dataset(spec, "test"), None
    images = open_dataset(default_evaluation(), "test")
    if images.name == "fashion_mnist":
        return images, None
    return images, f"compared on the bundled sample ({len(images):,} images); for all 10,000 {_NOT_HERE}"


def _recorded_dataset(record):
    """What the artifact was last compared on, else what its network was trained on."""
    accuracy, trained_on = record.get("accuracy"), str(record.get("preset")).partition(".")[2]
    candidates = [
        accuracy.get("dataset") if isinstance(accuracy, dict) else None,
        record.get("dataset"),
        trained_on if trained_on in _FASHION_MNIST else None,  # any other is a name that the user chose, no path
    ]
    return next((spec for spec in candidates if spec and isinstance(spec, str)), None)


def _show(out, artifact, against, result):
    low, high = result["ci95"]
    snr = result["output_snr_db"]
    worst = [
        f"{row['label']} {row['delta']:+.1f} ({row['float_top1']:.1f} % -> {row['quantized_top1']:.1f} %)"
        for row in result["worst_classes"]
    ]
    out.facts(
        f"{artifact.path.name} against {against.name}",
        [
            ("float top-1", f"{result['float_top1']:.2f} %"),
            ("quantized top-1", f"{result['quantized_top1']:.2f} %"),
            ("difference", f"{result['delta']:+.2f} points, 95 % interval [{low:+.2f}, {high:+.2f}]"),
            ("McNemar's exact p", f"{result['mcnemar_p']:.3g}"),
            ("changed predictions", f"{result['flips']:.2f} %"),
            ("logits' SNR", "no error" if snr is None else f"{snr:.1f} dB"),
            ("worst classes", "; ".join(worst) or "none lost"),
            ("images", f"{result['samples']:,} of {result['dataset']}"),
            ("runtime", f"{result['runtime']} {result['version']}"),
            ("sha256", f"quantized {result['quantized_sha256'][:12]}, float {result['float_sha256'][:12]}"),
        ],
    )
