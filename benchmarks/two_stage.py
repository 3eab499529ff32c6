"""What a two-stage detector costs in a `.tflite` file: Faster R-CNN in a static form, beside SSDLite on its backbone.

    python benchmarks/two_stage.py [--regions 50 300] [--seconds 60] [--write]

The static form: MobileNetV2 1.0 at 320x320, its map of stride 16 brought to 128 channels, a region proposal network
with 3 anchors a place, the 600 surest anchors decoded (TOPK_V2), NON_MAX_SUPPRESSION_V4 padded to a fixed number of
regions, each cut out as 7x7 values by four GATHERs and their bilinear mean, two fully connected layers of 1,024 and 80
classes with boxes. It is smaller than the paper's, which has maps of four levels, 256 channels and 1,000 regions of an
image of 800x1333. Everything is converted by TensorFlow's own converter, float and int8 (weights are random: time does
not depend on them), and timed in one interleaved run. With --write the figures go into docs/results/two_stage.json.
"""

import argparse
import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "two_stage.json"
SIZE, STRIDE, CHANNELS, ANCHORS, BEFORE, SIDE, HIDDEN, CLASSES = 320, 16, 128, (32, 64, 128), 600, 7, 1024, 80
BACKBONE, RIVAL = "mobilenet_v2_100", "ssdlite_vargnet_v1_100_g8"  # the latter with the former as its backbone


def weights(*shape):
    return np.random.default_rng(len(shape)).normal(0, np.prod(shape[:-1]) ** -0.5, shape).astype(np.float32)


def anchors():
    """float32 (places, 4) centre y, centre x, height, width as shares of the image."""
    count = SIZE // STRIDE
    places = (np.arange(count) + 0.5) / count
    y, x, side = np.meshgrid(places, places, np.array(ANCHORS) / SIZE, indexing="ij")
    return np.stack([y, x, side, side], axis=-1).reshape(-1, 4).astype(np.float32)


def two_stage(regions: int):
    """The network and its multiply-adds by part."""
    import tensorflow as tf

    import tfeff
    from tfeff.cost import analyse

    backbone = tfeff.create(BACKBONE, input_shape=(SIZE, SIZE, 3), features_only=[f"stride{STRIDE}"])
    features = backbone.output[f"stride{STRIDE}"].shape[-1]
    count, all_anchors = SIZE // STRIDE, tf.constant(anchors())
    narrow, near = weights(1, 1, features, CHANNELS), weights(3, 3, CHANNELS, CHANNELS)
    objects, moves = weights(1, 1, CHANNELS, len(ANCHORS)), weights(1, 1, CHANNELS, 4 * len(ANCHORS))
    first, second = weights(SIDE * SIDE * CHANNELS, HIDDEN), weights(HIDDEN, HIDDEN)
    scores, boxes = weights(HIDDEN, CLASSES + 1), weights(HIDDEN, 4 * CLASSES)

    def proposals(found):
        """float32 (regions, 4) y1 x1 y2 x2, shares of the image."""
        seen = tf.nn.relu(tf.nn.conv2d(found, near, 1, "SAME"))  # (1, 20, 20, 128)
        sure = tf.reshape(tf.nn.conv2d(seen, objects, 1, "SAME"), (-1,))  # (1200,)
        moved = tf.reshape(tf.nn.conv2d(seen, moves, 1, "SAME"), (-1, 4))
        values, places = tf.math.top_k(sure, BEFORE)
        anchor, moved = tf.gather(all_anchors, places), tf.gather(moved, places)  # (600, 4)
        centre = anchor[:, :2] + moved[:, :2] * anchor[:, 2:]
        size = anchor[:, 2:] * tf.exp(tf.minimum(moved[:, 2:], 4.0)) / 2
        corners = tf.clip_by_value(tf.concat([centre - size, centre + size], axis=1), 0.0, 1.0)
        kept, _ = tf.image.non_max_suppression_padded(corners, values, regions, 0.7, pad_to_max_output_size=True)
        return tf.gather(corners, tf.reshape(kept, (regions,)))

    def cut_out(found, corners):
        """float32 (regions, 7 * 7 * channels): a sample in the middle of each of 7 x 7 parts."""
        flat = tf.reshape(found, (count * count, CHANNELS))
        at = tf.constant((np.arange(SIDE) + 0.5) / SIDE, tf.float32)
        y = (corners[:, 0:1] + at * (corners[:, 2:3] - corners[:, 0:1])) * count - 0.5  # (regions, 7)
        x = (corners[:, 1:2] + at * (corners[:, 3:4] - corners[:, 1:2])) * count - 0.5
        y, x = (tf.clip_by_value(each, 0.0, count - 1.001) for each in (y, x))
        low_y, low_x = tf.floor(y), tf.floor(x)
        part_y, part_x = (y - low_y)[:, :, None, None], (x - low_x)[:, None, :, None]
        rows, columns = tf.cast(low_y, tf.int32)[:, :, None], tf.cast(low_x, tf.int32)[:, None, :]

        def corner(down, right):
            return tf.gather(flat, (rows + down) * count + columns + right)  # (regions, 7, 7, channels)

        top = corner(0, 0) * (1 - part_x) + corner(0, 1) * part_x
        bottom = corner(1, 0) * (1 - part_x) + corner(1, 1) * part_x
        return tf.reshape(top * (1 - part_y) + bottom * part_y, (regions, SIDE * SIDE * CHANNELS))

    look = frozen(backbone)

    def run(image):
        found = tf.nn.relu(tf.nn.conv2d(look(image)[f"stride{STRIDE}"], narrow, 1, "SAME"))
        corners = proposals(found)
        seen = tf.nn.relu(tf.matmul(tf.nn.relu(tf.matmul(cut_out(found, corners), first)), second))
        return {"regions": corners, "scores": tf.matmul(seen, scores), "boxes": tf.matmul(seen, boxes)}

    places = count * count
    madds = {
        "backbone": analyse(backbone).total.madds,
        "proposals": places * CHANNELS * (features + 9 * CHANNELS + 5 * len(ANCHORS)),
        "head": regions * (first.size + second.size + scores.size + boxes.size),
    }
    return run, madds


def one_stage():
    """SSDLite on the same backbone and at the same size, in the same form."""
    import tfeff
    from tfeff.cost import analyse

    model = tfeff.create(RIVAL, input_shape=(SIZE, SIZE, 3), classes=CLASSES, backbone=BACKBONE)
    return frozen(model), {"whole": analyse(model).total.madds}


def frozen(model):
    """A Keras model as a function of constants: the converter's calibration runs no variables."""
    import tensorflow as tf

    trained, others = ([tf.constant(v.numpy()) for v in each] for each in (
        model.trainable_variables, model.non_trainable_variables
    ))  # fmt: skip
    return lambda image: model.stateless_call(trained, others, image, training=False)[0]


def convert(function, images, path: Path, int8: bool) -> None:
    """By TensorFlow's own converter; the same steps for all."""
    import tensorflow as tf

    module = tf.Module()
    module.run = tf.function(lambda image: function(image))
    traced = module.run.get_concrete_function(tf.TensorSpec((1, SIZE, SIZE, 3), tf.float32, name="image"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], module)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
    path.write_bytes(converter.convert())


def doors_inside(path: Path) -> int:
    """QUANTIZE and DEQUANTIZE in the file: the shores of its float islands."""
    from tfeff.tflite.graph import read_graph

    return sum(each.name in ("QUANTIZE", "DEQUANTIZE") for each in read_graph(path).operations)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--regions", type=int, nargs="+", default=[50, 300], help="that the second stage looks at")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    from tfeff.bench import Settings, bench
    from tfeff.data import Preprocessing, open_dataset

    steps, scenes = (
        Preprocessing((SIZE, SIZE), mean=(127.5,) * 3, std=(127.5,) * 3),
        open_dataset("fashion_scenes_sample", "train"),
    )
    images, rows = [steps(scenes.image(number)) for number in range(8)], []
    with tempfile.TemporaryDirectory() as name:
        paths = []
        made = [(f"two-stage, {count} regions", *two_stage(count)) for count in arguments.regions]
        for label, function, madds in [*made, ("SSDLite", *one_stage())]:
            for kind in ("float32", "int8"):
                path = Path(name) / f"{len(paths)}.tflite"
                convert(function, images, path, kind == "int8")
                paths.append(path)
                rows.append({"network": label, "type": kind, "madds": madds, "bytes": path.stat().st_size,
                             "quantize_and_dequantize": doors_inside(path)})  # fmt: skip
        timing = bench(paths, ["local"], Settings(max_seconds=arguments.seconds)).as_dict()
    for row, result in zip(rows, timing["results"], strict=True):
        row |= {key: result[key] for key in ("sha256", "median_ms", "ci95_ms", "runtime", "version", "threads")}
        madds = sum(row["madds"].values()) / 1e6
        print(f"{row['network']:28s} {row['type']:8s} {madds:8.0f} M  {row['bytes'] / 1e6:6.1f} MB "
              f"{row['median_ms']:8.2f} ms {row['ci95_ms']}  {row['quantize_and_dequantize']:3d} (de)quantize  "
              f"sha256 {row['sha256'][:12]}")  # fmt: skip
    if arguments.write:
        environment = timing["results"][0]["environment"]
        told = {"machine": {key: environment[key] for key in ("cpu", "cores", "machine", "os")}, "rows": rows,
                "tensorflow": version("tensorflow")}  # fmt: skip
        RESULTS.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
