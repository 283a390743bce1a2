"""What the package offers to Python: networks, runs and arrays in, proven numbers out.

These functions are stable, as the command line is. Each takes a network as

* a ``torch.nn.Module`` of lipsort's layers (:mod:`lipsort_cli.layers`), in float32; any other is
  made a run by :func:`lipsort_cli.from_torch`;
* the directory of a run, or of a certificate;
* a ``model.safetensors`` file.

Errors are :class:`lipsort_cli.errors.LipsortError`; what was given wrongly is a ``UsageError``.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.arguments import array as as_array
from lipsort_cli.arguments import numbers, options, place, rows, shown
from lipsort_cli.certificates.claims import Claim, protect, require_certified
from lipsort_cli.certificates.classification import IssuedCertificate, issue_certificate
from lipsort_cli.certificates.files import NETWORK
from lipsort_cli.certificates.points import check_labels, load_network, provable_arithmetic
from lipsort_cli.certificates.predictions import Predictions, predicted
from lipsort_cli.console import warn
from lipsort_cli.errors import UsageError
from lipsort_cli.finding import find_run
from lipsort_cli.quoting import called_from_python
from lipsort_cli.runs import RECORD, read_record
from lipsort_cli.verification import verify
from lipsort_cli.verifier.verify import Verdict

if TYPE_CHECKING:
    from torch import nn

    from lipsort_cli.config.certificates import UnseenData
    from lipsort_cli.config.registry import Command
    from lipsort_cli.data.taken import Taken
    from lipsort_cli.data.unseen import Unseen
    from lipsort_cli.trained import Predictor

__all__ = ["IssuedCertificate", "Predictions", "Verdict", "certify", "load", "predict", "verify"]

_LABELS = "whole numbers, one for each input, which are numbers of classes"
_A_DISTANCE = (
    "radii are certified here, and a critic proves a distance between two samples, which `lipsort "
    "certify RUN` certifies"
)
NETWORKS = "a torch.nn.Module, the directory of a run or of a certificate, or a model.safetensors"


@called_from_python()
def load(source: str | os.PathLike[str]) -> nn.Sequential:
    """The network of a run, or of a ``model.safetensors``, as a plain module in evaluation mode.

    Maps float32 ``[N, *input_shape]``, in raw units, to logits ``[N, classes]``. Weights are those
    that certificates are about: constraints applied, nothing left to train.

    Raises:
        LipsortError: there is no such network, the file is damaged, or was changed after the run.
    """
    from lipsort_cli.config.schema import COMMANDS
    from lipsort_cli.zoo.plain import plain_module

    allowed = "the directory of a run or of a certificate, or a model.safetensors"
    return plain_module(load_network(_opened(source, "source", allowed, COMMANDS["export"]).file))


@called_from_python()
def certify(
    network: str | os.PathLike[str] | nn.Module,
    inputs: Any = None,
    labels: Any = None,
    *,
    directory: str | os.PathLike[str] | None = None,
    norm: str | None = None,
    arithmetic: str | None = None,
    eps: Iterable[float] | float | None = None,
    columns: Sequence[str] | None = None,
    replace: bool = False,
) -> IssuedCertificate:
    """Issue a certificate: radii r(x) with f(x') = y for every x' with ||x' - x|| <= r(x). Proven.

    Writes ``certificate.json``, ``points.csv``, the points and ``model.safetensors`` into
    ``directory``, all of them or, where anything is refused, none; :func:`verify` derives
    everything from them again.

    Args:
        network: a module (as it answers in evaluation mode), a run, or a file.
        inputs: as :func:`predict` takes arrays; None: the test points of a run.
        labels: whole numbers [N]; None: the network's own predictions.
        directory: where the files go; None: into the run.
        norm: ``l2``, ``linf`` or ``l1``; None: that of the run's evaluation, else ``l2``.
        arithmetic: ``binary32``, ``binary64``, ``real``; None: of the run, else ``binary32``.
        eps: radii whose counts are stated, or one; None: those of the run, else none.
        columns: those of a frame that stand for the run's, in the same order.
        replace: overwrite a certificate of another claim, or another network, in the folder.

    Returns:
        ``path``, ``statement`` and ``points`` (``predictions`` [N], ``radii`` [N], ``lipschitz``).

    Raises:
        UsageError: shapes or types do not fit, a layer has no certificate, or the folder holds a
            certificate of another claim.
    """
    from lipsort_cli.config.certificates import CertifyConfig
    from lipsort_cli.trained import open_run

    radii = None if eps is None else sorted(set(numbers("eps", eps)))
    options(CertifyConfig(run="", norm=norm, arithmetic=arithmetic, eps=radii or None,
                          replace=replace))  # fmt: skip
    named = _reading(inputs, {"columns": columns}).columns
    opened = _opened(network, senseless=_A_DISTANCE)
    folder = _folder(directory, opened)
    if inputs is not None:
        opened = opened.taking(array := rows("inputs", inputs, opened.known, named))
        points, given, source = _as_taken(array, labels, opened)
    elif opened.run is None:
        raise UsageError("inputs: found None; only a run has test points of its own")
    elif labels is not None:
        raise UsageError(f"labels: found {shown(labels)} without inputs; allowed: both, or neither")
    else:
        trained = open_run(opened.run)
        points, given, source = trained.inputs, trained.labels, f"{trained.name}, test set"
    norm, arithmetic, radii = opened.resolved(norm, arithmetic, radii)
    claim = Claim.of_points(points, given, norm, arithmetic, radii)
    protect(folder, opened.content, claim, replace=replace)
    kept: dict[str, Any] = {"norm": norm, "arithmetic": arithmetic, "eps": radii, "source": source}
    return issue_certificate(folder, opened.content, points, given, **kept)


def _folder(directory: str | os.PathLike[str] | None, opened: _Opened) -> Path:
    """Where a certificate goes: by default into the run."""
    if directory is not None:
        return place("directory", directory, "a folder")
    if opened.run is None:
        raise UsageError("directory: found None; allowed: the folder of the certificate")
    return opened.run


def _as_taken(
    array: NDArray[Any], labels: Any, opened: _Opened
) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64] | None, str]:
    """Inputs as the network takes them, held against its training as new data are; and labels."""
    from lipsort_cli.data.unseen import from_rows

    network, taken = opened.predictor.network, opened.predictor.taken
    parts = [batch.values for batch in from_rows(array, taken, "inputs").batches()]
    if not parts:
        raise UsageError("inputs: found no rows; allowed: at least one")
    points = np.concatenate(parts).reshape(-1, *network.input_shape)
    if labels is not None:
        labels = check_labels(as_array("labels", labels, _LABELS), len(points), network.classes)
    return points, labels, "arrays in Python"


@called_from_python()
def predict(
    network: str | os.PathLike[str] | nn.Module,
    inputs: Any,
    *,
    norm: str | None = None,
    arithmetic: str | None = None,
    units: str = "raw",
    **reading: Any,
) -> Predictions:
    """Class, runner-up, margin and certified radius of each input, as `lipsort predict` gives.

    Args:
        network: a module (as it answers in evaluation mode), a run, or a file.
        inputs: an array, tensor or lists [N, *input_shape] in raw units, nothing masked: floats
            (of 16 bits and truth values too, which are taken exactly), or the pixels of a run on
            pixels. Whole numbers in lists are floats. Of a run or a file also the path of new
            data: a table, ``.npy``, ``.npz``, a picture or a folder. A run holds columns, shape and
            units against those of its training; columns of a pandas or polars frame too, by name.
        norm: ``l2``, ``linf`` or ``l1``; None: that of the run's evaluation, else ``l2``.
        arithmetic: as :func:`certify`.
        units: ``raw``; ``deviations``: radii in standard deviations of each column, of runs on
            standardised tables, in real arithmetic.
        reading: how a path is read, as the keys of `lipsort predict` under ``data``: ``columns``
            (of a frame too), ``label``, ``gaps``, ``header``, ``decimal``, ``size``, ``colour``,
            ``background``.

    Returns:
        Arrays [N]: ``classes``, ``runner_up``, ``margins`` (empirical), ``radii`` (proven); and
        ``names`` of the classes.

    Raises:
        UsageError: as `lipsort predict`.
    """
    from lipsort_cli.config.certificates import PredictConfig

    options(PredictConfig(run="", norm=norm, arithmetic=arithmetic, units=units))
    opened = _opened(network)
    predictor, unseen = _unseen(opened, inputs, reading)
    found = predicted(
        predictor,
        unseen,
        norm=norm or predictor.norm,
        arithmetic=arithmetic or predictor.arithmetic,
        units=units,
    )
    parts = [part for _, part in found]
    if not parts:
        raise UsageError(f"inputs: found no rows ({unseen.name}); allowed: at least one")
    columns = [np.concatenate(column) for column in zip(*(part[:4] for part in parts), strict=True)]
    return Predictions(columns[0], columns[1], columns[2], columns[3], predictor.taken.classes)


def _unseen(opened: _Opened, inputs: Any, reading: dict[str, Any]) -> tuple[Predictor, Unseen]:
    """What predicts, and the new data, an array or in a file; says what of it is left out."""
    from lipsort_cli.config.certificates import settled
    from lipsort_cli.data.unseen import from_rows, open_unseen

    given = _reading(inputs, reading)
    if not isinstance(inputs, str | os.PathLike):
        array = rows("inputs", inputs, opened.known, given.columns)
        predictor = opened.taking(array).predictor
        return predictor, from_rows(array, predictor.taken, "inputs")
    path = place("inputs", inputs, "an array, or the path of new data")
    if opened.module is not None:
        raise UsageError(
            f"inputs: found the path {path} for a module, which does not say what it takes; "
            "allowed: an array, or a run or file in the module's place"
        )
    predictor = opened.predictor
    unseen = open_unseen(str(path), predictor.taken, settled(given, predictor.data, group=""))
    for note in unseen.notes:
        warn(note)
    return predictor, unseen


def _reading(inputs: Any, given: dict[str, Any]) -> UnseenData:
    """How new data are read; raises UsageError for options that these ``inputs`` cannot have."""
    from lipsort_cli.config.certificates import UnseenData

    filed = isinstance(inputs, str | os.PathLike)
    known = {entry.name for entry in dataclasses.fields(UnseenData)} - {"path"}
    allowed = known if filed else known & {"columns"}
    for name in sorted(given.keys() - allowed):
        where = "a path" if filed else "inputs that are no path"
        raise UsageError(
            f"{name}: found {shown(given[name])}; allowed with {where}: "
            f"{', '.join(sorted(allowed))}"
        )
    columns = given.get("columns")
    if isinstance(columns, Iterable) and not isinstance(columns, str | bytes):
        given = given | {"columns": [*columns]}
    options(found := UnseenData(path="-", **given))
    return found


@dataclass(frozen=True)
class _Opened:
    """A network as it was given: a module, or a file, of a run or not."""

    module: nn.Module | None = None
    file: Path = Path()
    run: Path | None = None
    shape: tuple[int, ...] = ()

    @property
    def known(self) -> Taken | None:
        """What a run or a file takes; of a module that is not known before its inputs are."""
        return None if self.module is not None else self.predictor.taken

    def taking(self, array: NDArray[Any]) -> _Opened:
        """The same, knowing inputs [N, ...], whose shape a module does not say."""
        if self.module is not None and array.ndim < 2:
            raise UsageError(
                f"inputs: found shape {list(array.shape)}; allowed: [N, ...], as a module does not "
                "say of what shape one input is"
            )
        return dataclasses.replace(self, shape=array.shape[1:])

    @cached_property
    def content(self) -> Path | bytes:
        """The file, or what a module's would hold."""
        from lipsort_cli.zoo.given import module_bytes

        return self.file if self.module is None else module_bytes(self.module, self.shape)

    @cached_property
    def predictor(self) -> Predictor:
        """The network and what it takes."""
        from lipsort_cli.data.taken import Taken
        from lipsort_cli.trained import Predictor, open_predictor

        if self.run is not None:
            return open_predictor(self.run)
        read = load_network(self.content)
        taken = Taken.of(None, read.input_shape, read.classes)
        return Predictor(read, taken, "l2", provable_arithmetic(read), None)

    def resolved(
        self, norm: str | None, arithmetic: str | None, eps: list[float] | None
    ) -> tuple[str, str, list[float]]:
        """Norm, arithmetic, radii; those that are not given are the run's, where there is one."""
        from lipsort_cli.trained import resolve_claim, run_config

        own = self.predictor
        if self.run is None:
            return norm or own.norm, arithmetic or own.arithmetic, eps or []
        config = run_config(self.run, read_record(self.run)["command"])
        return resolve_claim(config, own.network, norm, arithmetic, eps)


def _opened(
    network: Any,
    key: str = "network",
    allowed: str = NETWORKS,
    command: Command | None = None,
    senseless: str = "",
) -> _Opened:
    """A network that was given, its run finished and its weights intact.

    Raises:
        LipsortError: there is none, or ``command`` (`lipsort predict`) takes no such run, for the
            reason ``senseless``.
    """
    from lipsort_cli.config.schema import COMMANDS

    if not isinstance(network, str | os.PathLike):
        from torch import nn

        if key == "network" and isinstance(network, nn.Module):
            return _Opened(network)
        raise UsageError(f"{key}: found {shown(network)}; allowed: {allowed}")
    path, takes = place(key, network, allowed), command or COMMANDS["predict"]
    if (path / RECORD).is_file():
        find_run(str(path), takes.takes, senseless=senseless or takes.senseless)
        return _Opened(file=path / NETWORK, run=path)
    file = path / NETWORK if path.is_dir() else path
    if not file.exists():
        lacking = f"which holds no {NETWORK}" if path.is_dir() else "which does not exist"
        raise UsageError(f"{key}: found {path}, {lacking}; allowed: {allowed}")
    if path.is_dir():
        require_certified(file)
    return _Opened(file=file)
