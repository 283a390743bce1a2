"""Modules of torch: exported to ONNX in the run's folder, and imported from there."""

from __future__ import annotations

import copy
import io
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from datetime import datetime
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.nn.utils import parametrize

from lipsort_cli.arguments import numbers, options, place, shown, whole
from lipsort_cli.arithmetic import certified_arithmetic
from lipsort_cli.config.imported import ImportConfig, ImportEvaluation
from lipsort_cli.errors import LipsortError, UsageError, first_line
from lipsort_cli.files import make_folder, write_atomic
from lipsort_cli.identity import LOCK, locked
from lipsort_cli.imports.model import INSTALL, Refused, package, read_model
from lipsort_cli.imports.run import TOLERANCE, make_run, random_inputs
from lipsort_cli.quoting import called_from_python
from lipsort_cli.runs import RunRecord
from lipsort_cli.zoo.plain import plain_module

FILE = "model.onnx"


@called_from_python()
@certified_arithmetic()
def from_torch(
    module: nn.Module,
    input_shape: Sequence[int],
    directory: str | os.PathLike[str] | None = None,
    *,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    norm: str = "l2",
    eps: Sequence[float] = (0.1, 0.3, 0.5, 1.0),
) -> Path:
    """Make a run of a module in evaluation: what it maps ``[N, *input_shape]`` to, as it is now.

    The module is exported by ``torch.onnx`` (``dynamo=True``, which refuses what depends on the
    values of an input) to ``model.onnx`` in ``directory``, and that file is imported as `lipsort
    import` does. Outputs are compared with the module's at random inputs (empirical). The module
    itself stays as it is.

    Args:
        module: any module whose operations the importer understands.
        input_shape: of one input, without the batch.
        directory: a new folder; None: one under ``outputs/import``.
        mean: taken off raw inputs before the module, one number a channel or one for all.
        std: raw inputs are divided by it then.
        norm: ``l2``, ``linf`` or ``l1``: that of later commands, where none is asked for.
        eps: radii of later commands.

    Returns:
        The run's directory: for :func:`lipsort_cli.certify`, :func:`lipsort_cli.predict`,
        :func:`lipsort_cli.load`, and for every command.

    Raises:
        LipsortError: a package is missing, the module cannot be exported, or a node is not
            understood; named.
    """
    if directory is None:
        directory = Path("outputs", "import", *f"{datetime.now():%Y-%m-%d/%H-%M-%S-%f}".split("/"))
    module = _unwrapped(module)
    folder = place("directory", directory, "a new folder").absolute()
    evaluation = ImportEvaluation(norm=norm, eps=sorted(set(numbers("eps", eps))))
    options(evaluation)
    config = ImportConfig(
        file=str(folder / FILE), mean=numbers("mean", mean), std=numbers("std", std),
        evaluation=evaluation,
    )  # fmt: skip
    options(config)
    if not isinstance(input_shape, tuple | list) or not input_shape:
        raise UsageError(
            f"input_shape: found {shown(input_shape)}; allowed: whole numbers in a row, as (1, 28, "
            "28) or (4,)"
        )
    shape = tuple(whole("input_shape", size) for size in input_shape)
    with _filled(folder):
        _make(module, shape, config, folder)
    return folder


def _make(module: nn.Module, shape: tuple[int, ...], config: ImportConfig, folder: Path) -> None:
    """Export, import, and compare, in an empty folder."""
    frozen, path = _frozen(module), folder / FILE
    write_atomic(path, _exported(frozen, shape))
    make_folder(folder / ".hydra")
    write_atomic(folder / ".hydra" / "config.yaml", OmegaConf.to_yaml(OmegaConf.structured(config)))
    with RunRecord.recording(folder, "import", config=config):
        model = read_model(path)
        imported, _, _ = make_run(model, config, folder, None)
        if not config.mean and not config.std:
            _same(frozen, plain_module(imported.network), model.shape)


@contextmanager
def _filled(folder: Path) -> Iterator[None]:
    """Have an empty folder, locked; what was put there goes again where the block fails."""
    with locked(folder):
        found = [path.name for path in folder.iterdir() if path.name != LOCK]
        if found:
            raise UsageError(
                f"directory: found {folder}, which is not empty; allowed: a new folder"
            )
        try:
            yield
        except BaseException:
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name != LOCK:
                    path.unlink()
            raise


def _unwrapped(module: Any) -> nn.Module:
    """``module``, without what only spreads or compiles its work.

    Raises UsageError for what is no module, or none that can be exported.
    """
    while True:
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        elif hasattr(module, "_orig_mod"):  # of torch.compile
            module = module._orig_mod
        else:
            break
    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError(
            "module: found one of torch.jit; allowed: the torch.nn.Module that it was made of"
        )
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"module: found {shown(module)}; allowed: a torch.nn.Module, its weights loaded "
            "(load_state_dict)"
        )
    return module


def _copied(module: nn.Module) -> nn.Module:
    """A copy on the CPU, in evaluation."""
    # Weights that hooks compute (spectral_norm, weight_norm, pruning) are no leaves, which cannot
    # be copied as they are; the copy's hooks compute them again.
    held = [value for part in module.modules() for value in vars(part).values()]
    computed = {
        id(value): value.detach().clone()
        for value in held
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    try:
        return copy.deepcopy(module, computed).cpu().eval().requires_grad_(False)
    except Exception as error:  # whatever a module holds, weights without values included
        raise UsageError(
            f"module: found a {type(module).__name__} that cannot be copied to the CPU: "
            f"{first_line(error):.200}; allowed: one whose weights have values, and that "
            "copy.deepcopy copies"
        ) from error


def _frozen(module: nn.Module) -> nn.Module:
    """A copy in evaluation on the CPU, parametrised weights computed once."""
    frozen = _copied(module)
    frozen.zero_grad()
    for part in list(frozen.modules()):
        if not parametrize.is_parametrized(part):
            continue
        # Not by remove_parametrizations: a copy shares its class, which that changes.
        held: Any = part.parametrizations
        values = {name: getattr(part, name).detach().clone() for name in list(held)}
        part.__class__ = type(part).__bases__[0]
        del part._modules["parametrizations"]
        for name, value in values.items():
            part.register_parameter(name, nn.Parameter(value, requires_grad=False))
    return frozen


def _kind(module: nn.Module) -> torch.dtype:
    """The type of number that a module computes in."""
    held = (value.dtype for value in chain(module.parameters(), module.buffers()))
    return next((dtype for dtype in held if dtype.is_floating_point), torch.float32)


def _outputs(module: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """What the module maps ``inputs`` to, in its own type of number.

    Raises UsageError where it does not take them, or returns anything but one tensor.
    """
    kind, name, shape = _kind(module), type(module).__name__, list(inputs.shape[1:])
    try:
        with torch.no_grad():
            found = module(inputs.to(kind))
    except Exception as error:  # whatever a module raises
        raise UsageError(
            f"module: {name} fails at {kind} inputs of shape {shape}: {type(error).__name__}: "
            f"{first_line(error):.300}; allowed: a module that takes [N, *input_shape]"
        ) from error
    if not isinstance(found, torch.Tensor):
        raise UsageError(
            f"module: {name} returns a {type(found).__name__}; allowed: one tensor [N, classes]; "
            "wrap it in a module that returns the logits alone"
        )
    return found


def _exported(module: nn.Module, shape: tuple[int, ...]) -> bytes:
    package()
    if find_spec("onnxscript") is None:
        raise LipsortError(f"from_torch needs the package onnxscript: {INSTALL}")
    # Two examples: one would be taken for the size of every batch.
    example = torch.zeros(2, *shape, dtype=_kind(module))
    _outputs(module, example)
    batch = {0: torch.export.Dim("batch", min=1)}
    with _quiet():
        try:
            program: Any = torch.onnx.export(
                module, (example,), dynamo=True, verbose=False, dynamic_shapes=(batch,)
            )
        except Exception as error:
            # Torch raises all sorts, with pages of advice.
            cause = error.__cause__ or error
            raise LipsortError(
                f"torch.onnx cannot export {type(module).__name__} for inputs of shape "
                f"{list(shape)}: {type(cause).__name__}: {first_line(cause):.300}"
            ) from error
    return program.model_proto.SerializeToString()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's progress, warnings and graphs, of which it prints pages."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _same(module: nn.Module, own: nn.Module, shape: tuple[int, ...]) -> None:
    """Raises Refused where the imported network is not the module, at random inputs."""
    inputs = torch.from_numpy(random_inputs(shape, 64, 1))
    wanted = _outputs(module, inputs).numpy()
    with torch.no_grad():
        found = own(inputs).numpy()
    apart = float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30))
    if not apart <= TOLERANCE:
        raise Refused(
            f"outputs of the exported network differ from the module's by {apart:.3g} of the "
            f"largest output, more than {TOLERANCE:g}: torch.onnx exported another network"
        )
