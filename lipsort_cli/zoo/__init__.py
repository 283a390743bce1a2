"""Networks built from a configuration, and their plain form."""

from lipsort_cli.zoo.build import build_network, layer_text
from lipsort_cli.zoo.factories import build_activation, build_constraint
from lipsort_cli.zoo.graph import network_bytes, network_graph, save_network
from lipsort_cli.zoo.mlp import build_mlp
from lipsort_cli.zoo.network import Network
from lipsort_cli.zoo.order import OrderNetwork

__all__ = [
    "Network",
    "OrderNetwork",
    "build_activation",
    "build_constraint",
    "build_mlp",
    "build_network",
    "layer_text",
    "network_bytes",
    "network_graph",
    "save_network",
]
