"""How much time and memory judging a certificate would take, estimated before anything is done.

Nothing of a proof rests on this: it keeps small files from holding a verifier up.
"""

import math
from typing import Any

from lipsort_cli.arguments import shown
from lipsort_cli.verifier.bounds import chunk_size
from lipsort_cli.verifier.errors import Misused, Unsupported, require
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.operation import Layer, products, walk
from lipsort_cli.verifier.verify import Patience

SMALL, ALLOWED, EACH = 10_000_000, 3.5, {False: 60.0, True: 600.0}
"""Files of up to ``SMALL`` bytes may take ``ALLOWED`` seconds of one core, larger ones ``EACH``
more for each further million bytes: without and with exact arithmetic."""
SPEEDS = {False: (1.2e-10, 1.5e-9), True: (4e-9, 6e-8)}
"""About the seconds for a multiply-add of a product of matrices, and for a number moved, compared
or added, in binary64 and exactly."""
CALL = 1e-4  # seconds for an operation on a chunk of points, however few
LONGER = 8  # so many times longer a second try in exact arithmetic takes
PAIR = 20.0  # numbers moved that two rows of a head are worth, whatever their length
ROOM = 1 << 30
"""Bytes that may be held at a time where ``ALLOWED`` seconds are, and more in proportion."""
EACH_NUMBER = {False: 40.0, True: 240.0}
"""About the bytes held for each component of what goes into a layer and comes out of it."""


class Budget(Patience):
    """Seconds of one core: those ``allowed``, and those ``asked`` for.

    ``patience``: as many as the user has; without, as many as the size of the files allows.
    """

    def __init__(self, patience: float | None = None) -> None:
        reason = f"found {shown(patience)}; allowed: a number of seconds above 0"
        number = isinstance(patience, int | float) and not isinstance(patience, bool)
        number = number and patience is not None and patience > 0
        require(patience is None or number, "--patience", reason, Misused)
        self.patience, self.allowed, self.asked = patience, patience or 0.0, 0.0

    def claimed(
        self, certificate: dict[str, Any], network: Network, size: int, exact: bool
    ) -> None:
        """Spends what all proofs and points take."""
        if self.patience is None:
            self.allowed = ALLOWED + EACH[exact] * max(0.0, (size - SMALL) / 1e6)
        for machine in (False, True)[: 1 + exact]:
            self.spend(claimed_work(certificate, network, machine))
            self.hold(claimed_room(certificate, network, machine))

    def again(self, network: Network, points: int) -> None:
        """Spends what some points take with far more bits."""
        self.spend(LONGER * points_work(network, points, exact=True))

    def spend(self, seconds: float) -> None:
        """Raises Unsupported where that is more than there is left."""
        self.asked += seconds
        reason = (
            f"asks for about {self.asked:.3g} s of one core, estimated before any of it is done; "
            f"allowed for files of this size are {self.allowed:.3g} s, and more with "
            f"--patience {self.asked * 1.5:.2g}"
        )
        require(self.asked <= self.allowed, "certificate", reason, Unsupported)

    def hold(self, room: float) -> None:
        """Raises Unsupported where so many bytes at a time are too many."""
        most = ROOM * max(1.0, self.allowed / ALLOWED)
        reason = (
            f"asks for about {room / 2**30:.3g} GiB of memory, estimated before any of it is "
            f"taken; allowed for files of this size are {most / 2**30:.3g} GiB, and more with "
            f"--patience {room / ROOM * ALLOWED * 1.5:.2g}"
        )
        require(room <= most, "certificate", reason, Unsupported)


def claimed_work(certificate: dict[str, Any], network: Network, exact: bool) -> float:
    """Seconds for all proofs and points of a certificate, on one machine."""
    routes, (product, move), seconds = certificate["routes"], SPEEDS[exact], 0.0
    for route in routes:
        for layer, claim in zip(network.walk(), walk(route["layers"]), strict=False):
            size = 0 if layer.weight is None else layer.weight.size
            seconds += proof_products(layer, claim.method) * product + 8.0 * size * move
            seconds += proof_turns(layer, claim.method, exact) * CALL
    if certificate["kind"] == "classification":
        last = network.layers[-1]
        # Every pair of rows of a head, or of unit vectors, is compared.
        width = min(last.inputs, network.classes) if last.weight is None else last.inputs
        seconds += len(routes) * network.classes**2 * (4.0 * width + PAIR) * move
    passes = len(routes) * (1 if certificate["kind"] == "classification" else 2)
    return seconds + points_work(network, _carried(certificate, exact), exact, passes)


def _carried(certificate: dict[str, Any], exact: bool) -> int:
    """How often a point is carried through the network."""
    if certificate["kind"] == "classification":
        # Exactly, only radii above 0 are judged.
        radii = certificate["points"]["radius"]
        return sum(radius > 0 for radius in radii) if exact else len(radii)
    return len(certificate["routes"]) * (certificate["x"]["count"] + certificate["y"]["count"])


def claimed_room(certificate: dict[str, Any], network: Network, exact: bool) -> float:
    """Bytes that are held at a time, at most, besides what the files hold themselves."""
    proofs = (
        proof_room(layer, claim.method) * EACH_NUMBER[exact]
        for route in certificate["routes"]
        for layer, claim in zip(network.walk(), walk(route["layers"]), strict=False)
    )
    rows = min(_carried(certificate, exact), chunk_size(network, 4 if exact else 1))
    held = max(layer_room(layer, rows, EACH_NUMBER[exact]) for layer in network.layers)
    # A bound for every pair of classes, twice while they are put together.
    pairs = network.classes**2 if certificate["kind"] == "classification" else 0
    return max(held + pairs * (100.0 if exact else 16.0), *proofs)


def layer_room(layer: Layer, rows: int, each: float) -> float:
    """Bytes held while ``rows`` points are carried through a layer, ``each`` for a component."""
    numbers = 1.0 * rows * (layer.inputs + layer.width)
    if layer.op == "extension":  # the distance to every centre
        numbers += rows * len(layer.matrix)
    if "convolution" in layer.op:  # every place that a tap meets, and what it finds there
        numbers += 0.6 * products(layer) / layer.out_shape[0]
    # What each branch returns is kept until the last one has.
    numbers += 0.4 * rows * sum(part[-1].width for part in layer.parts if part)
    inner = (layer_room(one, rows, each) for part in layer.parts for one in part)
    return numbers * each + max(inner, default=0.0)


def points_work(network: Network, count: int, exact: bool, passes: int = 1) -> float:
    """Seconds for carrying ``count`` points through the network, in so many ``passes``."""
    layers, (product, move) = list(network.walk()), SPEEDS[exact]
    one = sum(2.0 * products(each) * product + moves(each, exact) * move for each in layers)
    chunk = chunk_size(network, 4 if exact else 1)
    chunks = -(-count // chunk) + passes - 1
    calls = chunks * (len(layers) + sum(len(layer.parts) for layer in layers))
    return count * one + (calls + sum(turns(each, count, chunks) for each in layers)) * CALL


def turns(layer: Layer, count: int, chunks: int) -> float:
    """How often an operation goes through Python for ``count`` points in ``chunks``, in units of
    ``CALL``.
    """
    match layer.op:
        case "order_statistic":  # for each point
            return 0.5 * count
        case "convolution" | "transposed_convolution":  # for each group of channels
            return 0.06 * layer.groups * chunks
        case "average_pool" | "max_pool" | "l2_pool":  # for each place in a window
            return 0.03 * layer.size**2 * chunks
        case "distance":  # for each output and some points, and for each rank that counts
            return 0.3 * layer.width * (count / 64 + chunks) + 0.008 * ranks(layer) * chunks
        case _:
            return 0.0


def ranks(layer: Layer) -> float:
    """Of a weighted distance, those whose share is not below 2^-150 of the first, about."""
    decay = layer.numbers[0]
    return min(layer.inputs, (150 - math.log2(1 - decay)) / -math.log2(decay) + 3) if decay else 1


def moves(layer: Layer, exact: bool) -> float:
    """About the numbers that one point moves, compares or adds, besides its products."""
    inputs, width, pairs = layer.inputs, layer.width, products(layer)
    match layer.op:
        case "groupsort" | "maxout":
            return (16.0 + 4.0 * math.log2(layer.size)) * inputs
        case "tanh" | "sigmoid":
            return 80.0 * width
        case "order_statistic":  # votes are float32 in either arithmetic
            return 80.0 * inputs + (0.1 if exact else 3.4) * pairs
        case "average_pool" | "max_pool" | "l2_pool":
            more = 6.0 * layer.size**2 * width
        case "convolution" | "transposed_convolution":  # patches are formed
            more = 4.0 * pairs * layer.groups / layer.out_shape[0]
        case "distance":
            more = (6.0 + 4.0 * math.log2(inputs + 1) * (layer.numbers[0] > 0)) * pairs
        case "extension":  # at worst every centre is decisive, and evaluated again; not so exactly
            more = 20.0 * len(layer.matrix) if exact else 10.0 * len(layer.matrix) + 6.0 * pairs
        case _:
            more = 0.0
    return 12.0 * (inputs + width) + more


def proof_products(layer: Layer, method: str) -> float:
    """About the multiply-adds of a proof."""
    if layer.op == "dense":  # of the Gram matrix, and of a factorisation
        sides = {"residual": 1.0, "cholesky": 3.0}.get(method, 0.0)
        return sides * layer.matrix.size * min(layer.matrix.shape)
    if "convolution" in layer.op and method in ("residual", "rows", "frequencies"):
        return kernel_products(layer, method)
    return 0.0


def proof_turns(layer: Layer, method: str, exact: bool) -> float:
    """How often a proof, and what is prepared for carrying points, go through Python, in units of
    ``CALL``: a convolution for each residue modulo its stride, each tap, and each shift of a group.
    """
    if "convolution" not in layer.op:
        return 1.0
    kernel, period = layer.matrix.shape[2:], layer.stride // math.gcd(layer.stride, layer.dilation)
    found = 0.2 * math.prod(min(size, period) for size in kernel)
    if method in ("residual", "rows", "frequencies"):
        found += 0.04 * layer.groups * math.prod(kernel)
    if method in ("residual", "rows"):
        found += 0.5 * layer.groups * (shifts(layer) + 1.0)
    return 1.0 + found * (4.0 if exact else 1.0)


def shifts(layer: Layer) -> float:
    """Of the blocks of one group against each other, about."""
    from lipsort_cli.verifier.operations._kernels import folded_shape

    height, width, _, _ = folded_shape(layer)
    return (2.0 * height - 1) * (2 * width - 1) / 2 + 1


def proof_room(layer: Layer, method: str) -> float:
    """About the numbers that a proof holds at a time, beside the weights and their squares."""
    if "convolution" in layer.op and method in ("residual", "rows", "frequencies"):
        from lipsort_cli.verifier.operations._kernels import folded_shape

        return math.prod(folded_shape(layer)) * (1.6 if method == "frequencies" else 0.4)
    return 0.0


def kernel_products(layer: Layer, method: str, started: float = 13.0) -> float:
    """The same of a convolution; ``started``: as many as take as long as a move."""
    from lipsort_cli.verifier.operations._kernels import SIDE, folded_shape, periods

    height, width, rows, columns = folded_shape(layer)
    small, large = sorted((rows, columns))
    if method != "frequencies":
        sides = small + (large if large <= SIDE else 0)
        each = small * large * (height * width * sides + 20.0 * started)
        return layer.groups * shifts(layer) * each
    first, second = periods(layer)
    each = 4.0 * small * small * (large + 2 * small) + 4.0 * small * large * height * width
    each += started * (20.0 * small * large + 1000.0 * height * width + 1e5)
    return layer.groups * (first // 2 + 1.0) * second * each
