"""Networks built from a configuration, and their plain form."""

from lipsort_cli.zoo.build import build_network, mlp_options, network_text
from lipsort_cli.zoo.factories import build_activation, build_constraint, constraint_maker
from lipsort_cli.zoo.mlp import Ensemble, build_mlp
from lipsort_cli.zoo.network import Network
from lipsort_cli.zoo.operations import network_bytes, network_graph, save_network
from lipsort_cli.zoo.order import OrderNetwork

__all__ = [
    "Ensemble",
    "Network",
    "OrderNetwork",
    "build_activation",
    "build_constraint",
    "build_mlp",
    "build_network",
    "constraint_maker",
    "mlp_options",
    "network_bytes",
    "network_graph",
    "network_text",
    "save_network",
]
