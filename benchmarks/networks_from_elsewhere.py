"""Networks that other libraries make, imported and certified, beside what these libraries claim.

    python benchmarks/networks_from_elsewhere.py [--steps 200] [--only NAME ...] [--json FILE]

Each network is trained on scikit-learn's digits for some seconds, exported by both exporters of
``torch.onnx``, imported, compared with ONNX Runtime and with torch, certified in L2 and verified.
Needs the extras ``onnx`` and ``dev``; networks whose library is not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

EXPORTERS = {"TorchScript": False, "dynamo": True}
SHAPE = (1, 8, 8)


class Residual(nn.Module):
    """A block of ResNet: two convolutions with batch normalisation, and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Of a batch."""
        return torch.relu(self.body(x) + self.shortcut(x))


class Before(nn.Module):
    """A residual block with its normalisation first, as in ResNet-v2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Of a batch."""
        return x + self.body(x)


class Dense(nn.Module):
    """A block of DenseNet: each layer sees all that came before it."""

    def __init__(self, channels: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(n), nn.ReLU(), nn.Conv2d(n, growth, 3, 1, 1))
            for n in range(channels, channels + growth * layers, growth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Of a batch."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class Row(nn.Module):
    """[N, 1, 8, 8] as a signal of 64 samples."""

    def forward(self, x: Tensor) -> Tensor:
        """Of a batch."""
        return x.reshape(x.shape[0], 1, 64)


class MaxMinHalves(nn.Module):
    """Maxima and minima of the first and the second half of the channels, written with sort."""

    def forward(self, x: Tensor) -> Tensor:
        """Of a batch."""
        return torch.stack(x.chunk(2, 1), 1).sort(1, descending=True).values.flatten(1, 2)


def _plain() -> dict[str, Callable[[], nn.Module]]:
    def cnn(*layers: nn.Module) -> nn.Module:
        return nn.Sequential(*layers)

    return {
        "MLP": lambda: cnn(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
        "MLP, GroupSort by sort": lambda: cnn(
            nn.Flatten(), nn.Linear(64, 64), MaxMinHalves(), nn.Dropout(0.1), nn.Linear(64, 10)
        ),
        "CNN, BatchNorm": lambda: cnn(
            nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10),
        ),
        "ResNet, BatchNorm": lambda: cnn(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), Residual(8, 8),
            Residual(8, 16, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
        ),
        "ResNet-v2": lambda: cnn(
            nn.Conv2d(1, 8, 3, padding=1), Before(8), Before(8), nn.BatchNorm2d(8), nn.ReLU(),
            nn.AvgPool2d(2), nn.Flatten(), nn.Linear(128, 10),
        ),
        "DenseNet": lambda: cnn(
            nn.Conv2d(1, 8, 3, padding=1), Dense(8, 4, 3), nn.BatchNorm2d(20), nn.ReLU(),
            nn.AvgPool2d(2), nn.Flatten(), nn.Linear(320, 10),
        ),
        "transposed convolutions": lambda: cnn(
            nn.Conv2d(1, 8, 3, 2, 1), nn.LeakyReLU(0.1), nn.ConvTranspose2d(8, 4, 3, 2, 1, 1),
            nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 2, 2, 2), nn.ReLU(),
            nn.AvgPool2d(4), nn.Flatten(), nn.Linear(32, 10),
        ),
        "tanh, sigmoid": lambda: cnn(
            nn.Conv2d(1, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(288, 32), nn.Sigmoid(),
            nn.Linear(32, 10),
        ),
        "pools of every kind": lambda: cnn(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU6(), nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(8, 8, 3, padding=1), nn.Hardtanh(), nn.AvgPool2d(3, 1, 1),
            nn.Conv2d(8, 16, 3, padding=1), nn.PReLU(), nn.AvgPool2d(2, 2, ceil_mode=True),
            nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(16, 10),
        ),
        "signal, 1-D": lambda: cnn(
            Row(), nn.Conv1d(1, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2),
            nn.Conv1d(8, 8, 3, padding=2, dilation=2), nn.ReLU(),
            nn.ConvTranspose1d(8, 4, 4, 2, 1), nn.AvgPool1d(4), nn.Flatten(), nn.Linear(32, 10),
        ),
        "pixels to channels": lambda: cnn(
            nn.PixelUnshuffle(2), nn.Conv2d(4, 16, 3, padding=1, groups=2), nn.ReLU(),
            nn.PixelShuffle(2), nn.ZeroPad2d((1, 0, 2, 1)), nn.Conv2d(4, 8, (3, 2), (2, 1)),
            nn.ReLU(), nn.Flatten(), nn.Linear(320, 10),
        ),
    }  # fmt: skip


def _torchlip() -> dict[str, Callable[[], nn.Module]]:
    import deel.torchlip as lip

    return {
        "torchlip MLP, GroupSort2": lambda: lip.Sequential(
            nn.Flatten(), lip.SpectralLinear(64, 64), lip.GroupSort2(),
            lip.SpectralLinear(64, 32), lip.GroupSort2(), lip.SpectralLinear(32, 10),
        ),
        "torchlip MLP, FullSort": lambda: lip.Sequential(
            nn.Flatten(), lip.SpectralLinear(64, 64), lip.FullSort(),
            lip.SpectralLinear(64, 32), lip.GroupSort(4), lip.FrobeniusLinear(32, 10),
        ),
        "torchlip CNN, ScaledAvgPool": lambda: lip.Sequential(
            lip.SpectralConv2d(1, 16, 3, padding=1), lip.MaxMin(), lip.ScaledAvgPool2d(2),
            lip.SpectralConv2d(32, 16, 3, padding=1), lip.GroupSort2(),
            lip.ScaledAvgPool2d(2), nn.Flatten(), lip.SpectralLinear(64, 10),
        ),
        "torchlip CNN, L2 pool": lambda: lip.Sequential(
            lip.InvertibleDownSampling(2), lip.SpectralConv2d(4, 16, 3, padding=1),
            lip.GroupSort2(), lip.ScaledL2NormPool2d(2), nn.Flatten(),
            lip.SpectralLinear(64, 10),
        ),
        "torchlip circular padding": lambda: lip.Sequential(
            lip.SpectralConv2d(1, 8, 3, padding=1, padding_mode="circular"), lip.GroupSort2(),
            lip.SpectralConv2d(8, 8, 3, padding=1, stride=2), lip.GroupSort2(), nn.Flatten(),
            lip.SpectralLinear(128, 10),
        ),
    }  # fmt: skip


def _orthogonium() -> dict[str, Callable[[], nn.Module]]:
    from orthogonium import layers as ortho
    from orthogonium.layers.residual import AdditiveResidual, ConcatResidual

    conv = ortho.AdaptiveOrthoConv2d
    return {
        "orthogonium CNN, MaxMin": lambda: nn.Sequential(
            conv(1, 16, 3, padding=1, padding_mode="zeros"), ortho.MaxMin(),
            conv(16, 32, 2, stride=2, padding=0), ortho.MaxMin(), nn.Flatten(),
            ortho.OrthoLinear(512, 10),
        ),
        "orthogonium, BatchCentering, residual": lambda: nn.Sequential(
            conv(1, 16, 3, padding=1, padding_mode="zeros"), ortho.BatchCentering2D(16),
            ortho.MaxMin(),
            AdditiveResidual(nn.Sequential(conv(16, 16, 3, padding=1), ortho.Abs())),
            ConcatResidual(nn.Sequential(conv(8, 8, 3, padding=1), ortho.MaxMin())),
            nn.LPPool2d(2, 2), nn.Flatten(), ortho.UnitNormLinear(256, 10),
        ),
        "orthogonium, LayerCentering": lambda: nn.Sequential(
            conv(1, 8, 2, stride=2, padding=0), ortho.LayerCentering2D(8), ortho.MaxMin(),
            ortho.AdaptiveOrthoConvTranspose2d(8, 4, 2, stride=2, padding=0), ortho.MaxMin(),
            nn.Flatten(), ortho.OrthoLinear(256, 10),
        ),
    }  # fmt: skip


def networks() -> dict[str, Callable[[], nn.Module]]:
    """Every network whose library is installed."""
    found = _plain()
    for name, make in (("deel.torchlip", _torchlip), ("orthogonium", _orthogonium)):
        try:
            present = importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:
            present = False
        if present:
            found |= make()
    return found


def claim(name: str) -> str:
    """The constant in L2 that the library states for such a network."""
    if name in ("torchlip MLP, FullSort", "orthogonium, BatchCentering, residual"):
        return "1 each output"  # the rows of the last layer have norm 1, not the layer
    return "1" if name.startswith(("torchlip", "orthogonium")) else "none"


def plain_form(module: nn.Module) -> nn.Module:
    """The module as its library says it be exported."""
    module.eval().zero_grad()
    if hasattr(module, "vanilla_export"):
        module(torch.zeros(2, *SHAPE))
        module = module.vanilla_export().eval()
    for part in list(module.modules()):
        for name in list(getattr(part, "parametrizations", {})):
            parametrize.remove_parametrizations(part, name)
    return module.requires_grad_(False)


def export(module: nn.Module, dynamo: bool, batch: str = "dynamic") -> bytes:
    """The module as ONNX; ``batch``: dynamic, or fixed to one."""
    buffer, options = io.BytesIO(), {}
    if batch == "dynamic":
        options = (
            {"dynamic_shapes": ({0: torch.export.Dim("N", min=1)},)}
            if dynamo
            else {"dynamic_axes": {"input": {0: "N"}}, "input_names": ["input"]}
        )
    example = torch.zeros(1 if batch == "one" else 2, *SHAPE)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            torch.onnx.export(module, (example,), buffer, dynamo=dynamo, verbose=False, **options)
        finally:
            logging.disable(logging.NOTSET)
    return buffer.getvalue()


def train(module: nn.Module, steps: int, inputs: Tensor, labels: Tensor) -> None:
    """Adam on cross entropy of scaled logits, batches of 128."""
    optimizer = torch.optim.Adam(module.parameters(), 5e-3)
    generator = torch.Generator().manual_seed(0)
    module.train()
    for _ in range(steps):
        rows = torch.randint(len(inputs), (128,), generator=generator)
        loss = nn.functional.cross_entropy(5 * module(inputs[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    module.eval()


@dataclass
class Measured:
    """One line of the table."""

    name: str
    exporter: str
    layers: str
    apart: float
    claimed: str
    proven: float
    at_least: float
    clean: float
    certified: float
    verdict: str
    seconds: float


def measure(name: str, exporter: str, module: nn.Module, x: Tensor, y: Tensor) -> Measured:
    """Import one export, certify the test points and verify."""
    from lipsort_cli import certify, verify
    from lipsort_cli.imports.model import read_model
    from lipsort_cli.imports.network import import_network
    from lipsort_cli.imports.run import compare, network_bytes
    from lipsort_cli.zoo.plain import plain_module

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.onnx")
        file.write_bytes(export(module, EXPORTERS[exporter]))
        model = read_model(file)
        imported = import_network(model)
        agreement = compare(model, imported.network, x.numpy())
        with torch.no_grad():
            wanted = module(x).numpy()
        own = plain_module(imported.network)
        apart = np.abs(own(x).numpy() - wanted).max() / np.abs(wanted).max()
        Path(folder, "model.safetensors").write_bytes(network_bytes(imported.network))
        arithmetic = "real" if imported.network.smooth() else "binary32"
        issued = certify(
            Path(folder, "model.safetensors"), x, y, directory=folder, arithmetic=arithmetic
        )
        verdict = verify(folder).status
        jacobian = torch.func.vmap(torch.func.jacrev(own))(x[:32, None]).flatten(1, 2).flatten(2)
        return Measured(
            name,
            exporter,
            str(sum(1 for _ in imported.network.walk())),
            max(agreement.largest_difference, float(apart)),
            claim(name),
            issued.points.lipschitz,
            float(torch.linalg.matrix_norm(jacobian, 2).max()),
            float((issued.points.predictions == y.numpy()).mean()),
            float((issued.points.radii >= 0.1).mean()),
            str(verdict),
            time.perf_counter() - start,
        )


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training and test rows of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    found = load_digits()
    x = torch.tensor(found.images / 16, dtype=torch.float32)[:, None]
    y = torch.tensor(found.target)
    return x[:1500], y[:1500], x[1500:], y[1500:]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    x, y, test, labels = digits()
    rows: list[dict[str, Any]] = []
    print("| network | exporter | layers | outputs apart | claimed | proven | at least | clean | "
          "certified at 0.1 | verdict | s |\n|" + "---|" * 11)  # fmt: skip
    for name, make in networks().items():
        if options.only and not any(word in name for word in options.only):
            continue
        torch.manual_seed(0)
        module = make()
        train(module, options.steps, x, y)
        plain = plain_form(module)
        for exporter in EXPORTERS:
            try:
                row = measure(name, exporter, plain, test, labels)
            except Exception as error:
                print(f"| {name} | {exporter} | {type(error).__name__}: {error} |")
                continue
            rows.append(vars(row))
            print(
                f"| {name} | {exporter} | {row.layers} | {row.apart:.1e} | {row.claimed} | "
                f"{row.proven:.5g} | {row.at_least:.4g} | {row.clean:.1%} | "
                f"{row.certified:.1%} | {row.verdict} | {row.seconds:.1f} |",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
