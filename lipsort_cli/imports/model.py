"""An ONNX file as nodes with numbers: checked, functions inlined, versions as the file says."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from os.path import isfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from lipsort_cli.console import plural
from lipsort_cli.errors import LipsortError, UsageError, first_line
from lipsort_cli.identity import file_digest
from lipsort_cli.imports.states import Shape, Value

OLDEST, INSTALL = 9, "pip install 'lipsort[import]'"
PLAIN = ("", "ai.onnx")
MOST_BYTES = 1 << 30
"""Of a file: weights of more would not fit the certificate's layers either."""


class Refused(LipsortError):
    """A model, or one of its nodes, that is not understood; names it."""


@dataclass(frozen=True)
class Node:
    """One node; ``inputs`` are values of the network, constants, or None where left out."""

    op: str
    name: str
    inputs: tuple[Value | np.ndarray | None, ...]
    attributes: dict[str, Any]
    outputs: tuple[str, ...]
    version: int
    proto: Any

    def get(self, name: str, default: Any) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def refuse(self, reason: str) -> NoReturn:
        """Raises Refused, naming the node."""
        raise Refused(f"node {self.name!r} ({self.op}): {reason}")

    def input(self, place: int) -> Value | np.ndarray | None:
        """An input; None where there is none."""
        return self.inputs[place] if place < len(self.inputs) else None

    def value(self, place: int = 0) -> Value:
        """An input that the network computes."""
        found = self.input(place)
        if not isinstance(found, Value):
            self.refuse(f"input {place} is {'missing' if found is None else 'a constant'}")
        return found

    def constant(self, place: int, default: Any = None) -> np.ndarray:
        """An input that is a constant, as the file has it; ``default`` where it is left out."""
        found = self.input(place)
        if found is None and default is not None:
            return np.asarray(default)
        if not isinstance(found, np.ndarray):
            what = "missing" if found is None else "computed from the network's input"
            self.refuse(f"input {place} is {what}; only constants are understood there")
        return found

    def numbers(self, place: int, default: Any = None) -> np.ndarray:
        """A constant of finite numbers, in binary64."""
        found = self.constant(place, default)
        if found.dtype.kind not in "fiub" or not np.isfinite(found.astype(np.float64)).all():
            self.refuse(f"input {place} holds what is no finite number")
        if found.dtype in (np.float16,):
            self.refuse(HALF)
        return found.astype(np.float64)


HALF = "computes in half precision, for which no radius could be proven; convert it to float32"


@dataclass(frozen=True)
class Model:
    """A checked model: ``shape`` of one input without the batch; ``fixed``: batches of one only."""

    proto: Any
    source: str
    sha256: str
    input: str
    output: str
    shape: Shape
    fixed: bool
    dtype: type[np.floating[Any]]
    opset: int

    def constants(self) -> dict[str, np.ndarray]:
        """Initialisers by name."""
        from onnx import numpy_helper

        graph = self.proto.graph
        return {one.name: numpy_helper.to_array(one) for one in graph.initializer}


def package() -> Any:
    """The ``onnx`` package. Raises LipsortError where it is not installed."""
    try:
        import onnx
        import onnx.checker
        import onnx.inliner
        import onnx.reference
        import onnx.shape_inference
    except ImportError:
        raise LipsortError(f"importing networks needs the package onnx: {INSTALL}") from None
    return onnx


def read_model(path: str | Path, input_shape: Shape | None = None) -> Model:
    """Read and check an ONNX file, with the external data beside it.

    Raises LipsortError where the package is missing, UsageError where there is no sound model, and
    Refused for one that lipsort cannot take: it needs one input ``[N, ...]`` and one output, both
    float32 (or double).
    """
    onnx, path = package(), Path(path)
    if not isfile(path):
        lacking = "which is no file" if path.exists() else "which does not exist"
        raise UsageError(f"file: found {path}, {lacking}; allowed: an ONNX file")
    if other := _other(path):
        raise UsageError(f"file: found {path}, which is {other}; allowed: an ONNX file")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise Refused(f"{path}: {size} bytes, more than {MOST_BYTES}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            proto = onnx.load(path)
            onnx.checker.check_model(path, full_check=True)
    except Exception as error:
        # Protobuf, the checker and the reader of external data raise all sorts.
        raise UsageError(f"file: {path} is no sound ONNX model: {first_line(error):.300}") from None
    try:
        return checked(proto, str(path), file_digest(path), input_shape)
    except LipsortError as error:
        raise type(error)(f"{path}: {error}") from None


_EXPORT = (
    "in Python, lipsort_cli.from_torch(module, input_shape) takes the module with its weights "
    "loaded, and torch.onnx.export writes it as ONNX"
)
_OTHERS = (
    (b"PK\x03\x04", f"a zip archive, as torch.save, Keras and NumPy write them ({_EXPORT})"),
    (b"\x80\x02", f"a pickle, as older versions of torch.save write ({_EXPORT})"),
    (b"\x89HDF", "an HDF5 file, as Keras writes (tf2onnx converts it)"),
    (b"\x1f\x8b", "compressed by gzip (unpack it)"),
    (b"version https://git-lfs", "a pointer of Git LFS (`git lfs pull` gets the file)"),
)
"""How files begin that are taken for networks, and what they are."""


def _other(path: Path) -> str | None:
    """What a file is, where its first bytes say that it is no ONNX model, and the way out."""
    with path.open("rb") as opened:
        start = opened.read(32)
    if not start:
        return "empty"
    if start[8:9] == b"{":  # behind the length of the header
        return f"a file of safetensors: weights without the layers that they belong to ({_EXPORT})"
    return next((words for magic, words in _OTHERS if start.startswith(magic)), None)


def checked(proto: Any, source: str, sha256: str, input_shape: Shape | None = None) -> Model:
    """What the rest of this room works on; ``proto`` has passed the checker."""
    onnx = package()
    opset = {one.domain: one.version for one in proto.opset_import}
    version = max((opset[name] for name in PLAIN if name in opset), default=0)
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST <= version <= newest:
        raise Refused(
            f"found operator set {version}; allowed: {OLDEST} to {newest}; export it with one of "
            "these (opset_version), or convert it (onnx.version_converter)"
        )
    if proto.functions:
        proto = onnx.inliner.inline_local_functions(proto)
    graph = proto.graph
    if graph.sparse_initializer:
        raise Refused("sparse initialisers are not understood; make them dense")
    known = {one.name for one in graph.initializer}
    inputs = [one for one in graph.input if one.name not in known]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise Refused(
            f"found {plural(len(inputs), 'input')} and {plural(len(graph.output), 'output')}; "
            "allowed: one of each"
        )
    dtype = _number(inputs[0])
    if _number(graph.output[0]) is not dtype:
        raise Refused("the output's type is not the input's")
    shape, fixed = _shape(inputs[0], input_shape)
    return Model(
        proto, source, sha256, inputs[0].name, graph.output[0].name, shape, fixed, dtype, version
    )


def _number(entry: Any) -> type[np.floating[Any]]:
    onnx = package()
    kind = entry.type.tensor_type.elem_type
    if kind == onnx.TensorProto.FLOAT:
        return np.float32
    if kind == onnx.TensorProto.DOUBLE:
        return np.float64
    name = onnx.TensorProto.DataType.Name(kind)
    half = f"; it {HALF}" if name in ("FLOAT16", "BFLOAT16") else ""
    raise Refused(f"{entry.name!r} is of type {name}; allowed: FLOAT, DOUBLE{half}")


def _shape(entry: Any, given: Shape | None) -> tuple[Shape, bool]:
    """The shape of one input, and whether batches are of one only."""
    dims = entry.type.tensor_type.shape.dim
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
    if not entry.type.tensor_type.HasField("shape") or len(dims) < 2:
        raise Refused(
            f"input {entry.name!r} has shape {_said(sizes)}; allowed: the batch, and other axes "
            "behind it"
        )
    batch, *rest = sizes
    if batch not in (None, 1):
        raise Refused(
            f"input {entry.name!r} is a batch of {batch}; export with a batch of 1, or with a "
            "dynamic first axis"
        )
    if given is not None and (
        len(given) != len(rest)
        or any(own not in (None, size) for own, size in zip(rest, given, strict=True))
    ):
        raise UsageError(
            f"input_shape: found {list(given)}; allowed: {_said(rest)}, which is what the input "
            f"{entry.name!r} takes"
        )
    sizes = list(given or rest)
    if not all(sizes):
        raise UsageError(
            f"input_shape: required, and not given; input {entry.name!r} has shape {_said(rest)} "
            "without the batch: say what it is, as in input_shape=[1,28,28]"
        )
    return tuple(int(size or 0) for size in sizes), batch == 1


def _said(sizes: list[int | None]) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in sizes) + "]"


def attributes(proto: Any) -> dict[str, Any]:
    """A node's attributes as Python values and arrays."""
    onnx = package()
    found = {}
    for one in proto.attribute:
        value = onnx.helper.get_attribute_value(one)
        if isinstance(value, onnx.TensorProto):
            value = onnx.numpy_helper.to_array(value)
        elif isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif one.type == onnx.AttributeProto.INTS:
            value = [int(item) for item in value]
        found[one.name] = value
    return found


def evaluated(node: Node, inputs: list[np.ndarray | None]) -> list[np.ndarray]:
    """The node's outputs at constant inputs, by onnx's reference evaluator."""
    onnx = package()
    helper = onnx.helper
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    proto.domain = ""
    feeds = {f"in{k}": array for k, array in enumerate(inputs) if array is not None}
    del proto.input[:]
    proto.input.extend("" if a is None else f"in{k}" for k, a in enumerate(inputs))
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in feeds.items()
    ]
    names = [name for name in proto.output if name]
    outputs = [helper.make_empty_tensor_value_info(name) for name in names]
    graph = helper.make_graph([proto], "node", infos, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", node.version)])
    try:
        made = onnx.reference.ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:
        node.refuse(f"onnx cannot evaluate it: {first_line(error):.200}")
    return [np.asarray(array) for array in made]
