"""Writes the two tables of docs/networks.md: all published figures against their counts, and those that no count meets.

python benchmarks/networks_table.py
"""

from pathlib import Path

from tfeff.cost.conventions import CONVENTIONS, count_as, meets
from tfeff.networks import create, index

PAGE = Path(__file__).parents[1] / "docs" / "networks.md"
# Printed figures that are not the registered ones because no count explains them, or because they belong to another
# form of the network: network, options, convention, figure, printed where, and what is known of the difference.
_OTHERS = [
    ("shufflenet_v2_x050", {"stride2_unit": "original"}, "madds", 41_000_000, "paper, Table 5",
     "rounded up; the other three widths fit the authors' unit"),
    ("shufflenet_v2_x100", {"stride2_unit": "original"}, "madds", 146_000_000, "paper, Table 5", "the authors' unit"),
    ("shufflenet_v2_x150", {"stride2_unit": "original"}, "madds", 299_000_000, "paper, Table 5", "the authors' unit"),
    ("shufflenet_v2_x200", {"stride2_unit": "original"}, "madds", 591_000_000, "paper, Table 5", "the authors' unit"),
    ("mobilenet_v2_140", {}, "parameters", 6_900_000, "paper, Table 4",
     "unexplained; the authors' table of checkpoints has 6.06 without BN, which fits"),
    ("mobilenet_v3_large_100", {}, "madds", 219_000_000, "paper",
     "unexplained; the authors' code says 217, which fits"),
    ("mobilenet_v3_small_100", {}, "madds", 66_000_000, "first version of the paper, keras-applications",
     "of an architecture before the final one"),
    ("mobilenet_v3_small_100", {}, "parameters", 2_900_000, "first version of the paper, keras-applications",
     "of an architecture before the final one"),
    ("mobilenet_v3_small_075", {}, "madds", 44_000_000, "keras-applications",
     "of an architecture before the final one"),
    ("mobilenet_v3_small_075", {}, "parameters", 2_400_000, "keras-applications",
     "of an architecture before the final one"),
    ("mobilenet_v3_small_minimalistic_100", {}, "madds", 65_000_000, "keras-applications",
     "unexplained; probably of an architecture before the final one"),
    ("vargfacenet", {}, "operations", 1_022_000_000, "later papers' tables", "source not found"),
    ("shiftnet_c", {"groups": ((5, 4, 4, 1), (5, 4, 3, 4), (3, 3, 2, 4), (3, 2, 1, 3))}, "parameters", 780_000, "paper",
     "with the expansions of A; those of C are not known, and (4, 4, 1, 1), which is registered, fits"),
    ("shiftresnet_20_e3", {}, "madds", 16_581_248, "shiftresnet-cifar, README",
     "its formula counts the stem with the 64 channels of the last stage: 9 x 64 x 1024 instead of 9 x 3 x 16 x 1024"),
    ("as_resnet_w68", {}, "madds_with_4_per_shift", 729_000_000, "authors' slides",
     "counted like w32 and w50; it fits with 1 for each shifted value"),
    ("fe_net_100", {"last": 1504}, "parameters", 3_700_000, "as cited in surveys",
     "the channels of the last convolution are not known: 1504 would fit, 1380 stands in a log of the release"),
    ("fe_net_100", {"expansion_on": "output"}, "madds", 301_000_000, "the release's README",
     "what the released code builds; its accuracies (73.6) belong to that"),
    ("fe_net_137", {"expansion_on": "output"}, "madds", 563_000_000, "the release's README",
     "what the released code builds; its accuracies (75.7) belong to that"),
    ("fe_net_137", {"expansion_on": "output"}, "parameters", 5_900_000, "the release's README",
     "what the released code builds"),
    ("vovnet_27_slim", {"input_shape": (300, 300, 3)}, "madds", 5_600_000_000, "paper, Table 2",
     "the whole detector (DSOD300); the paper prints no backbone"),
    ("espnet_v2_175", {}, "madds_without_classifier", 224_000_000, "paper, as recalled", "not confirmed"),
]  # fmt: skip
_WHY = {
    "values": 'what the paper\'s "model size" counts is not said; all stored values come closest',
    ("shiftnet_a", "parameters"): "cut off instead of rounded?",
    ("shiftnet_b", "parameters"): "cut off instead of rounded?",
    ("fe_net_100", "parameters"): "the channels of the last convolution are not known",
    ("fe_net_137", "parameters"): "5.96 million without BN and shifts",
    ("mobilenet_v3_large_100", "parameters"): "torchvision's and Keras' networks have the counted number",
}


def published():
    yield "| network | printed as | published | counted so | difference | source |\n|---|---|---|---|---|---|\n"
    for name, entry in index().items():
        for key, counted in entry["counted_as_published"].items():
            figure = entry["published"][key]
            yield f"| `{name}` | {CONVENTIONS[key][0]} | {figure:,} | {counted:,} | {counted / figure - 1:+.2%} | "
            yield f"{entry['published']['source']} |\n"


def unmet():
    yield "| network | printed as | printed | counted so | difference | where | what is known |\n"
    yield "|---|---|---|---|---|---|---|\n"
    for name, entry in index().items():
        for key, counted in entry["counted_as_published"].items():
            figure, source = entry["published"][key], entry["published"]["source"]
            if not meets(counted, figure):
                yield _row(f"`{name}`", key, figure, counted, source, _WHY.get((name, key)) or _WHY[key])
    for name, options, key, figure, source, why in _OTHERS:
        form = ", ".join(f"{option}={value!r}" for option, value in options.items())
        counted = count_as(create(name, **options), key)
        yield _row(f"`{name}`" + (f", `{form}`" if form else ""), key, figure, counted, source, why)


def _row(name, key, figure, counted, source, why):
    return (f"| {name} | {CONVENTIONS[key][0]} | {figure:,} | {counted:,} | {counted / figure - 1:+.2%} | {source} | "
            f"{why} |\n")  # fmt: skip


def main():
    text = PAGE.read_text(encoding="utf-8")
    for name, rows in (("published", published()), ("unmet", unmet())):
        begin, end = f"<!-- {name}: made by benchmarks/networks_table.py -->\n", f"<!-- end of {name} -->"
        head, _, rest = text.partition(begin)
        text = head + begin + "\n" + "".join(rows) + "\n" + end + rest.partition(end)[2]
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
