"""What the package offers to Python: networks, runs and arrays in, proven numbers out.

These functions are stable, as the command line is. Each takes a network as

* a ``torch.nn.Module`` of lipsort's layers (:mod:`lipsort_cli.layers`), in float32; any other is
  made a run by :func:`lipsort_cli.from_torch`;
* the directory of a run, or of a certificate;
* a ``model.safetensors`` file.

Errors are :class:`lipsort_cli.errors.LipsortError`; what was given wrongly is a ``UsageError``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.certificates.classification import IssuedCertificate, issue_certificate
from lipsort_cli.certificates.files import NETWORK
from lipsort_cli.certificates.points import load_network
from lipsort_cli.certificates.predictions import Predictions, predicted
from lipsort_cli.errors import UsageError
from lipsort_cli.files import make_folder, write_atomic
from lipsort_cli.runs import RECORD
from lipsort_cli.verification import verify
from lipsort_cli.verifier.graph import parse_network
from lipsort_cli.verifier.verify import Verdict

if TYPE_CHECKING:
    from torch import nn

    from lipsort_cli.trained import Predictor

__all__ = ["IssuedCertificate", "Predictions", "Verdict", "certify", "load", "predict", "verify"]


def load(source: str | os.PathLike[str]) -> nn.Sequential:
    """The network of a run, or of a ``model.safetensors``, as a plain module in evaluation mode.

    Maps float32 ``[N, *input_shape]``, in raw units, to logits ``[N, classes]``. Weights are those
    that certificates are about: constraints applied, nothing left to train.

    Raises:
        LipsortError: there is no such network, or the file is damaged.
    """
    from lipsort_cli.zoo.plain import plain_module

    return plain_module(load_network(_file(source)))


def certify(
    network: str | os.PathLike[str] | nn.Module,
    inputs: Any = None,
    labels: Any = None,
    *,
    directory: str | os.PathLike[str] | None = None,
    norm: str | None = None,
    arithmetic: str = "binary32",
    eps: Iterable[float] | None = None,
) -> IssuedCertificate:
    """Issue a certificate: radii r(x) with f(x') = y for every x' with ||x' - x|| <= r(x). Proven.

    Writes ``certificate.json``, ``points.csv``, the points and ``model.safetensors`` into
    ``directory``; :func:`verify` derives everything from them again.

    Args:
        network: a module, a run, or a file.
        inputs: floats [N, *input_shape], in raw units; None: the test points of a run.
        labels: whole numbers [N]; None: the network's own predictions.
        directory: where the files go; None: into the run.
        norm: ``l2``, ``linf`` or ``l1``; None: that of the run's evaluation, else ``l2``.
        arithmetic: how the network is evaluated: ``binary32``, ``binary64`` or ``real``.
        eps: radii whose counts are stated; None: those of the run, else none.

    Returns:
        ``path``, ``statement`` and ``points`` (``predictions`` [N], ``radii`` [N], ``lipschitz``).

    Raises:
        UsageError: shapes or types do not fit, or a layer has no certificate.
    """
    source = "arrays in Python"
    if inputs is None:
        if not _is_run(network):
            raise UsageError("inputs: found None; only a run has test points of its own")
        from lipsort_cli.trained import open_run, resolve_radii

        trained = open_run(network)  # type: ignore[arg-type]
        norm, eps = resolve_radii(trained, norm, None if eps is None else list(eps))
        inputs, labels, source = trained.inputs, trained.labels, f"{trained.name}, test set"
    points = as_array(inputs)
    folder = _folder(directory, network)
    make_folder(folder)
    path = _file(network) if isinstance(network, str | os.PathLike) else folder / NETWORK
    if not isinstance(network, str | os.PathLike):
        write_atomic(path, module_bytes(network, points.shape[1:]))
    return issue_certificate(
        folder,
        path,
        points,
        None if labels is None else as_array(labels),
        norm=norm or "l2",
        arithmetic=arithmetic,
        eps=sorted(eps or ()),
        source=source,
    )


def _folder(
    directory: str | os.PathLike[str] | None, network: str | os.PathLike[str] | nn.Module
) -> Path:
    """Where a certificate goes: by default into the run; a module's never into one."""
    if directory is None:
        if not _is_run(network):
            raise UsageError("directory: found None; needed is the folder of the certificate")
        return Path(network)  # type: ignore[arg-type]
    if _is_run(directory) and not isinstance(network, str | os.PathLike):
        raise UsageError(
            f"directory: found {directory}, which is a run with a network of its own; allowed: a "
            "folder for the module and its certificate"
        )
    return Path(directory)


def predict(
    network: str | os.PathLike[str] | nn.Module,
    inputs: Any,
    *,
    norm: str | None = None,
    arithmetic: str = "binary32",
    units: str = "raw",
) -> Predictions:
    """Class, runner-up, margin and certified radius of each input, as `lipsort predict` gives.

    Args:
        network: a module, a run, or a file.
        inputs: an array or tensor [N, *input_shape], in raw units, or the path of new data: a
            table, ``.npy``, ``.npz``, a picture or a folder. A run holds columns, shape and units
            against those of its training.
        norm: ``l2``, ``linf`` or ``l1``; None: that of the run's evaluation, else ``l2``.
        arithmetic: as :func:`certify`.
        units: ``raw``; ``deviations``: radii in standard deviations of each column, of runs on
            standardised tables, in real arithmetic.

    Returns:
        Arrays [N]: ``classes``, ``runner_up``, ``margins`` (empirical), ``radii`` (proven); and
        ``names`` of the classes.

    Raises:
        UsageError: as `lipsort predict`.
    """
    from lipsort_cli.config.certificates import UnseenData, settled
    from lipsort_cli.data.unseen import from_rows, open_unseen

    from_file = isinstance(inputs, str | os.PathLike)
    array = np.zeros((1, 1)) if from_file else as_array(inputs)
    predictor = _predictor(network, array.shape[1:])
    if from_file:
        options = settled(UnseenData(), predictor.data)
        unseen = open_unseen(os.fspath(inputs), predictor.taken, options)
    else:
        unseen = from_rows(array, predictor.taken, "inputs")
    found = predicted(
        predictor, unseen, norm=norm or predictor.norm, arithmetic=arithmetic, units=units
    )
    parts = [part for _, part in found]
    if not parts:
        raise UsageError(f"inputs: {unseen.name} holds no rows to predict")
    columns = [np.concatenate(column) for column in zip(*(part[:4] for part in parts), strict=True)]
    return Predictions(columns[0], columns[1], columns[2], columns[3], predictor.taken.classes)


def as_array(values: Any) -> NDArray[Any]:
    """An array of NumPy from one of NumPy's, a tensor on any device, or lists of numbers."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def module_bytes(module: nn.Module, shape: tuple[int, ...]) -> bytes:
    """The content of a ``model.safetensors`` for a module of lipsort's layers.

    Raises:
        UsageError: a layer has no plain form, its weights are not float32, ``shape``, of one input,
            does not fit, or the module computes something else than its layers one after the other.
    """
    import torch

    from lipsort_cli.zoo import Network, network_bytes
    from lipsort_cli.zoo.operations import NoPlainForm

    kinds = {str(p.dtype) for p in module.parameters()} - {"torch.float32"}
    if kinds:
        raise UsageError(
            f"network: found weights of {', '.join(sorted(kinds))}; certificates are about weights "
            "of float32: convert the module with .float()"
        )
    where = next((p.device for p in module.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            outputs = Network(_flat(module), shape, 0).eval()(torch.zeros(1, *shape, device=where))
        found = network_bytes(Network(_flat(module), shape, outputs.shape[1]))
        _refuse_another(module, found, shape)
        return found
    except NoPlainForm as error:
        layer = str(error).partition(":")[0]
        raise UsageError(
            f"network: found {layer}, which is none of lipsort's; a module of other layers becomes "
            "a run with lipsort_cli.from_torch(module, input_shape)"
        ) from error
    except (TypeError, RuntimeError, IndexError, ValueError) as error:
        raise UsageError(f"network: {error}; inputs are of shape {list(shape)}") from error


def _refuse_another(module: nn.Module, content: bytes, shape: tuple[int, ...]) -> None:
    """Refuse a module that hooks, or a ``forward`` of its own, make another than its layers."""
    import torch

    from lipsort_cli.verifier.graph import parse_network
    from lipsort_cli.zoo.plain import plain_module

    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(16, *shape, generator=generator)
    where = next((p.device for p in module.parameters()), torch.device("cpu"))
    modes = [(part, part.training) for part in module.modules()]
    try:
        with torch.no_grad():
            there = module.eval()(probe.to(where))
    finally:
        for part, training in modes:
            part.training = training
    with torch.no_grad():
        here = plain_module(parse_network(content))(probe)
    size = float(torch.nan_to_num(here, 0.0, 0.0, 0.0).abs().max())
    same = isinstance(there, torch.Tensor) and there.shape == here.shape
    if not same or not torch.allclose(there.to(here), here, 1e-4, 1e-4 * size, equal_nan=True):
        raise UsageError(
            "network: the module computes something else than its layers do one after the other "
            "(a forward of its own, or hooks); allowed: lipsort's layers in nn.Sequential; another "
            "module becomes a run with lipsort_cli.from_torch(module, input_shape)"
        )


def _flat(module: nn.Module) -> list[nn.Module]:
    """The layers of a module in their order, chains within chains unrolled."""
    from torch import nn

    if not isinstance(module, nn.Sequential):
        return [module]
    return [layer for inner in module for layer in _flat(inner)]


def _is_run(source: Any) -> bool:
    return isinstance(source, str | os.PathLike) and (Path(source) / RECORD).is_file()


def _file(source: str | os.PathLike[str]) -> Path:
    path = Path(source)
    return path / NETWORK if path.is_dir() else path


def _predictor(network: Any, shape: tuple[int, ...]) -> Predictor:
    from lipsort_cli.data.unseen import Taken
    from lipsort_cli.trained import Predictor, open_predictor

    if _is_run(network):
        return open_predictor(network)
    if isinstance(network, str | os.PathLike):
        read = load_network(_file(network))
    else:
        read = parse_network(module_bytes(network, shape))
    return Predictor(read, Taken.of(None, read.input_shape, read.classes), "l2", None)
