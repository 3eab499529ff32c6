"""The networks that give logits of classes. Detectors and their backbones have tests of their own."""

from tfeff.networks import index, registry


def classifiers():
    """Public name -> network, of every classifier that a file registers."""
    return {name: each for name, each in registry.import_families().items() if each.task == "classification"}


def index_of_classifiers():
    """What the index says of them."""
    return {name: entry for name, entry in index().items() if entry["task"] == "classification"}
