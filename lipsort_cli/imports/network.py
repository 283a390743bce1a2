"""From a model to the network that is certified: nodes in turn, then states as chains of layers."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsort_cli.errors import first_line
from lipsort_cli.imports.batches import Marks, Sizes, marked
from lipsort_cli.imports.linear import LINEAR
from lipsort_cli.imports.model import PLAIN, Model, Node, Refused, attributes, evaluated
from lipsort_cli.imports.moves import MOVES, Handler
from lipsort_cli.imports.orders import ORDERS
from lipsort_cli.imports.pointwise import POINTWISE, ROOTS, UNWRITTEN
from lipsort_cli.imports.states import State, Trace, Value
from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.graph import MOST_LAYERS, Network, build_network

UNDERSTOOD: dict[str, Handler] = {**MOVES, **LINEAR, **POINTWISE, **ORDERS, **ROOTS}
"""What is made of each operation of ONNX."""
HINTS = {
    **dict.fromkeys(
        ("Softmax", "LogSoftmax"),
        "a margin between probabilities is none between logits; export the network without it",
    ),
    **dict.fromkeys(
        ("LayerNormalization", "InstanceNormalization", "GroupNormalization"),
        "it divides by what it computes from the input: no constant bounds its slope",
    ),
}
_QUANTISED = re.compile("Q[A-Z]|.*([Qq]uantize|Integer)")
"""Operations of quantised networks, of ONNX and of ONNX Runtime."""
_ROUNDED = (
    "rounds what it computes to whole numbers: it jumps, and no constant bounds that; import the "
    "network as it was before quantisation"
)
_GRAPHS = (5, 10)
"""Types of attributes that are graphs: AttributeProto.GRAPH and GRAPHS."""


@dataclass(frozen=True)
class Imported:
    """A network with what was done to get it.

    ``nodes``: the nodes of the file that each layer of the chain stands for; ``rounded``: how many
    weights float32 does not hold as they came out, ``rounding`` the largest relative change.
    """

    network: Network
    nodes: list[list[str]]
    rounded: int
    rounding: float


def import_network(model: Model, mean: Sequence[float] = (), std: Sequence[float] = ()) -> Imported:
    """Trace the model for one input and write down its layers, behind ``(x - mean) / std`` if any.

    Raises Refused, naming the node that is not understood.
    """
    trace = Trace(model.shape)
    known: dict[str, Value | np.ndarray | None] = {"": None, **model.constants()}
    first = trace.input
    if mean:
        count = max(len(mean), len(std))
        numbers = [[float(v) for v in a] * (count if len(a) == 1 else 1) for a in (mean, std)]
        first = trace.state("normalize", [first], first.shape, "", mean=numbers[0], std=numbers[1])
    known[model.input] = Value.whole(first, (1, *model.shape))
    marks: dict[str, Marks] = {}
    sizes = Sizes(model)
    for proto in model.proto.graph.node:
        node = _node(proto, model, known)
        made = _made(trace, node)
        if not model.fixed:
            sizes.refuse_shared(node, made)
            marks.update(marked(node, made, marks, sizes))
        # What is not made here may not be used: asking for it is refused by name.
        known.update(zip(node.outputs, made, strict=False))
    result = known.get(model.output)
    if not isinstance(result, Value):
        raise Refused(f"output {model.output!r} does not depend on the input")
    if len(result.shape) != 2 or result.shape[0] != 1:
        raise Refused(
            f"output {model.output!r} has shape {list(result.shape)} for one input; a network "
            "returns one row of numbers [1, classes]"
        )
    last = trace.settle(result, (result.shape[1],), model.output)
    return _written(trace, last, model)


def _node(proto: Any, model: Model, known: dict[str, Value | np.ndarray | None]) -> Node:
    name = proto.name or (proto.output[0] if proto.output else "")
    if proto.domain not in PLAIN:
        if _QUANTISED.match(proto.op_type):
            raise Refused(f"node {name!r} ({proto.domain}.{proto.op_type}): {_ROUNDED}")
        raise Refused(f"node {name!r}: {proto.domain}.{proto.op_type} is not an operation of ONNX")
    for needed in proto.input:
        if needed not in known:
            raise Refused(
                f"node {name!r} ({proto.op_type}) uses {needed!r}, an output that is not understood"
            )
    inputs = tuple(known[needed] for needed in proto.input)
    return Node(
        proto.op_type, name, inputs, attributes(proto), tuple(proto.output), model.opset, proto
    )


def _made(trace: Trace, node: Node) -> Sequence[Value | np.ndarray | None]:
    """The node's outputs."""
    values = [one for one in node.inputs if isinstance(one, Value)]
    if any(one.type in _GRAPHS for one in node.proto.attribute):
        node.refuse("holds a graph of its own, which may use what is computed around it")
    if node.op in ("Shape", "Size") and values:
        shape = np.array(node.value().shape, dtype=np.int64)
        if node.op == "Size":
            return [np.array(shape.prod())]
        return [shape[node.get("start", 0) : node.get("end", None)]]
    if not values:
        if node.op.startswith("Random") or node.op in ("Bernoulli", "Multinomial"):
            node.refuse("is random")
        if node.op == "Dropout" and node.input(2) is not None and node.constant(2).any():
            node.refuse("is in training mode, and random")
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return evaluated(
                node, [None if one is None else np.asarray(one) for one in node.inputs]
            )
    if node.op not in UNDERSTOOD:
        if _QUANTISED.match(node.op):
            node.refuse(_ROUNDED)
        node.refuse(HINTS.get(node.op, f"not understood; understood are {', '.join(understood())}"))
    try:
        return UNDERSTOOD[node.op](trace, node)
    except (ValueError, IndexError) as error:  # of NumPy, for what the checker lets pass
        node.refuse(f"its inputs do not fit together: {first_line(error):.200}")


def understood() -> list[str]:
    """The operations of ONNX that are understood."""
    return sorted(UNDERSTOOD)


def _written(trace: Trace, last: State, model: Model) -> Imported:
    if last is trace.input:
        last = trace.state("identity", [last], last.shape, model.output)
    writer = _Writer()
    layers = writer.chain(trace.input, last, "layers")
    graph = {
        "format": "lipsort-graph",
        "version": 1,
        "input_shape": list(model.shape),
        "classes": last.width,
        "layers": layers,
    }
    try:
        network = build_network(graph, writer.tensors)
    except (Invalid, Unsupported) as error:
        raise Refused(f"beyond what can be certified: {error}") from None
    return Imported(
        network, [_nodes(state) for state in _path(trace.input, last)],
        writer.rounded, writer.rounding,
    )  # fmt: skip


def _path(top: State, last: State) -> list[State]:
    """From ``top``, without it, to ``last``: each the dominator of the next."""
    found = []
    while last is not top:
        found.append(last)
        assert last.dominator is not None
        last = last.dominator
    return found[::-1]


def _nodes(state: State) -> list[str]:
    """The nodes that a layer of the chain, and what is inside it, stands for."""
    found = [state.node]
    if len(state.parents) > 1:
        for parent in state.parents:
            assert state.dominator is not None
            found += [name for one in _path(state.dominator, parent) for name in _nodes(one)]
    return list(dict.fromkeys(name for name in found if name))


class _Writer:
    """Layers of a graph and their tensors, rounded to float32."""

    def __init__(self) -> None:
        self.tensors: dict[str, np.ndarray] = {}
        self.count = self.rounded = 0
        self.rounding = 0.0

    def chain(self, top: State, last: State, prefix: str) -> list[dict[str, Any]]:
        """Entries from ``top`` to ``last``."""
        steps = _path(top, last)
        return [self._entry(state, f"{prefix}.{k}") for k, state in enumerate(steps)]

    def _entry(self, state: State, name: str) -> dict[str, Any]:
        self.count += 1
        if state.op in UNWRITTEN:
            raise Refused(f"node {state.node!r}: {UNWRITTEN[state.op]}")
        if self.count > MOST_LAYERS:
            raise Refused(f"more than {MOST_LAYERS} layers, at node {state.node!r}")
        entry: dict[str, Any] = {"op": state.op, **_fields(state.fields)}
        if state.weight is not None:
            entry["weight"] = self._tensor(f"{name}.weight", state.weight, state)
            there = state.bias is not None
            extra = {"bias": self._tensor(f"{name}.bias", state.bias, state) if there else None}
            entry |= {"shape": list(state.shape)} if state.op == "select" else extra
        if state.op not in ("sum", "concatenate"):
            return entry
        top = state.dominator
        assert top is not None
        if state.op == "sum" and len(state.parents) == 2 and top in state.parents:
            other = state.parents[1 if state.parents[0] is top else 0]
            inner = self.chain(top, other, f"{name}.layers")
            return {**_fields({"skip": 1.0, "branch": 1.0}), "op": "residual", "layers": inner}
        branches = [
            self.chain(top, parent, f"{name}.branches.{k}")
            for k, parent in enumerate(state.parents)
        ]
        return {**entry, "branches": branches}

    def _tensor(self, name: str, values: Any, state: State) -> str:
        with np.errstate(over="ignore"):
            rounded = values.astype(np.float32)
        if not np.isfinite(rounded).all():
            raise Refused(f"node {state.node!r}: a weight is too large for float32")
        off = np.abs(rounded - values)
        self.rounded += int((off > 0).sum())
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(off > 0, off / np.abs(values), 0.0)
        self.rounding = max(self.rounding, float(share.max(initial=0.0)))
        self.tensors[name] = np.ascontiguousarray(rounded)
        return name


def _fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Reals as hexadecimal floats."""
    found: dict[str, Any] = {}
    for key, value in fields.items():
        many = isinstance(value, list) and value and isinstance(value[0], float)
        found[key] = [one.hex() for one in value] if many else value
        if isinstance(value, float):
            found[key] = value.hex()
    return found
