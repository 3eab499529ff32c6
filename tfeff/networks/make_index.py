"""Writes `index.json`, which `tfeff list` reads: `python -m tfeff.networks.make_index` after changing a network."""

import json

from tfeff.networks.registry import INDEX_PATH, Network, import_families


def describe(network: Network) -> dict:
    """The index entry of a network: built at its default input shape and counted."""
    from tfeff.cost import count, count_as_published

    model = network()
    return {
        "module": network.builder.__module__,
        "family": network.family,
        "paper": network.paper,
        "task": network.task,
        "input_shape": list(model.input_shape[1:]),
        "published": dict(network.published),
        "counted": count(model).as_dict(),
        "counted_as_published": count_as_published(model, network.published),
    }


def main() -> None:
    networks = import_families()
    entries = {name: describe(networks[name]) for name in sorted(networks)}
    INDEX_PATH.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    print(f"{len(entries)} networks -> {INDEX_PATH}")


if __name__ == "__main__":
    main()
