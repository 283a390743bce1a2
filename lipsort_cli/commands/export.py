"""`lipsort export RUN`: the network in plain formats, each compared with the certified one."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli.arithmetic import certified_arithmetic
from lipsort_cli.certificates.claims import require_certified
from lipsort_cli.certificates.points import evaluate, load_network
from lipsort_cli.commands.earlier import write_result
from lipsort_cli.config.certificates import ExportConfig
from lipsort_cli.console import console, follow_up, located, plural, results_line
from lipsort_cli.directed_text import at_most
from lipsort_cli.errors import LipsortError
from lipsort_cli.files import LARGEST_WEIGHTS, make_folder, read_bytes, write_atomic
from lipsort_cli.runs import read_record
from lipsort_cli.trained import CLASSIFIERS, open_run
from lipsort_cli.verifier.errors import Unsupported
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.onnx import onnx_bytes
from lipsort_cli.zoo.plain import load_plain, plain_module

COMPANIONS = ("certificate.json", "certificate-data.safetensors", "points.csv")
"""Copied beside the exported network, so that the folder can be verified on its own."""


class Exported(NamedTuple):
    """A run's network, and points ``[N, *shape]`` on which exported ones are compared with it."""

    directory: Path
    network: Path
    inputs: NDArray[np.float32]


def run(config: ExportConfig, directory: Path) -> None:
    """Write the formats asked for into ``directory/export``, with the run's certificate."""
    trained = _open(Path(config.run), config.points, config.data)
    require_certified(trained.network)
    network = load_network(trained.network)
    target = directory / "export"
    make_folder(target)
    # Compare knows no proven bound for tanh and sigmoid.
    allowance = (
        "the tolerance of 1e-5 of the largest logit"
        if network.smooth()
        else "what rounding can amount to (proven)"
    )
    report: dict[str, dict[str, object]] = {}
    for name in config.formats:
        path, outputs = WRITERS[name](network, trained, target)
        what = f"{name}: {located(path)}"
        if outputs is None:
            console.print(f"{what} (not compared: pip install 'lipsort[export]' for onnxruntime)")
            report[name] = {"file": path.name}
            continue
        agreement = compare(network, trained.inputs, outputs)
        report[name] = {"file": path.name, **agreement._asdict(), "within_bound": agreement.within}
        console.print(
            f"{what}; outputs on {plural(len(outputs), 'point')} differ by at most "
            f"{at_most(agreement.largest_difference, 3)} (empirical), "
            f"{agreement.largest_share_of_bound:.2%} of {allowance}"
        )
        if not agreement.within:
            raise LipsortError(
                f"{path}: outputs differ from the trained network's by "
                f"{agreement.largest_difference:.3g}, more than rounding explains; do not use it"
            )
    if (trained.directory / "certificate.json").is_file():
        _safetensors(network, trained, target)
    copied = [name for name in COMPANIONS if (trained.directory / name).is_file()]
    for name in copied:
        write_atomic(target / name, read_bytes(trained.directory / name, LARGEST_WEIGHTS))
    write_result(target / "export.json", report, config)
    _last_words(trained, target, config.formats, "certificate.json" in copied)


def _open(directory: Path, points: int, data: Any) -> Exported:
    if read_record(directory)["command"] in CLASSIFIERS:
        run = open_run(directory, points, data)
        return Exported(directory, run.network, run.inputs)
    from lipsort_cli.gan.runs import open_critic

    critic = open_critic(directory)
    return Exported(directory, critic.network, critic.rows(points))


def _last_words(trained: Exported, target: Path, formats: list[str], certified: bool) -> None:
    if not certified:
        results_line("Results", target, "without a certificate: certify, then export again")
        follow_up("lipsort", "certify", trained.directory)
        return
    file = "model.onnx" if "onnx" in formats else trained.network.name
    results_line("Results", target)
    follow_up("lipsort", "verify", target / "certificate.json", "--network", target / file)


Written = tuple[Path, NDArray[np.float32] | None]


@certified_arithmetic()
def _safetensors(network: Network, trained: Exported, target: Path) -> Written:
    # The run's own file is the plain network; its bytes are what a certificate names.
    path = target / trained.network.name
    write_atomic(path, read_bytes(trained.network, LARGEST_WEIGHTS))
    with torch.no_grad():
        return path, load_plain(path)(torch.from_numpy(trained.inputs)).numpy()


def _onnx(network: Network, trained: Exported, target: Path) -> Written:
    path = target / "model.onnx"
    try:
        write_atomic(path, onnx_bytes(network))
    except Unsupported as error:
        raise LipsortError(f"{error}; leave onnx out: formats=[safetensors,torch_export]") from None
    try:
        import onnxruntime
    except ImportError:
        return path, None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return path, session.run(None, {"input": trained.inputs})[0]


@certified_arithmetic()
def _torch_export(network: Network, trained: Exported, target: Path) -> Written:
    path = target / "model.pt2"
    batch = torch.export.Dim("batch", min=1)
    # Two examples: with one, torch.export takes the batch size for a constant.
    example = torch.zeros(2, *network.input_shape)
    program = torch.export.export(
        plain_module(network), (example,), dynamic_shapes=({0: batch},), strict=False
    )
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    write_atomic(path, buffer.getvalue())
    loaded = torch.export.load(path).module()
    with torch.no_grad():
        return path, loaded(torch.from_numpy(trained.inputs)).numpy()


WRITERS: dict[str, Callable[[Network, Exported, Path], Written]] = {
    "safetensors": _safetensors,
    "onnx": _onnx,
    "torch_export": _torch_export,
}


class Agreement(NamedTuple):
    """Largest difference of a logit from its true value, over the points' proven bound."""

    largest_difference: float
    largest_share_of_bound: float

    @property
    def within(self) -> bool:
        """Whether every output lies within the bound."""
        return self.largest_share_of_bound <= 1


def compare(
    network: Network, inputs: NDArray[np.float32], outputs: NDArray[np.float32]
) -> Agreement:
    """Compare ``outputs [N, C]`` with the network's true logits at ``inputs [N, ...]``.

    The bound is that of binary32 in any summation order (``evaluate``), plus what binary64 lost
    in computing the reference. Networks with tanh or sigmoid have no such bound; for them the
    figure is taken against 1e-5 of the largest logit.
    """
    reference = evaluate(network, inputs, "real")
    if network.smooth():
        bound = np.full(len(inputs), 1e-5 * max(1.0, float(np.abs(reference.logits).max())))
    else:
        bound = evaluate(network, inputs, "binary32").error
    difference = np.abs(outputs.astype(np.float64) - reference.logits).max(axis=1)
    share = np.where(np.isnan(difference), np.inf, difference / np.maximum(bound, 1e-300))
    return Agreement(float(difference.max()), float(share.max()))
