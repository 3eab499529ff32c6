"""The zoo. One family a file; `create(name)` builds, and every public name is a function of this package too."""

from tfeff.networks.building import create
from tfeff.networks.registry import Network, get_network, index, list_networks, register_networks

__all__ = ["Network", "create", "get_network", "index", "list_networks", "register_networks"]


def __getattr__(name):  # from tfeff.networks import vargnet_v1_100_g8
    if name in index():
        return get_network(name)
    raise AttributeError(f"module 'tfeff.networks' has no attribute {name!r}")
