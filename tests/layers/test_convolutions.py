"""Convolutions against their explicit operator, over shapes, strides, paddings and channels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import operator, same_function

from lipsort_cli.config.learning import AdamOptimizer, StiefelOptimizer
from lipsort_cli.errors import UsageError
from lipsort_cli.layers import (
    AolConvolution,
    Convolution,
    OrthogonalConvolution,
    ReshapedConvolution,
    ShiftConvolution,
    SpectralConvolution,
    TransposedConvolution,
)
from lipsort_cli.layers.constraints import (
    Bjorck,
    LinfProjection,
    LinfSoftmax,
    Parseval,
    Unconstrained,
    orthonormality_error,
)
from lipsort_cli.layers.convolutions.bounds import autocorrelation, frequency_bound
from lipsort_cli.layers.convolutions.geometry import Geometry, fold, unfold
from lipsort_cli.optim import build_optimizer


def reshaped(constraint: Callable[[], Any]) -> Callable[..., Convolution]:
    return lambda *sizes, **options: ReshapedConvolution(*sizes, constraint=constraint, **options)


MAKERS: dict[str, Callable[..., Convolution]] = {
    "orthogonal": OrthogonalConvolution,
    "shift": ShiftConvolution,
    "reshaped": ReshapedConvolution,
    "bjorck": reshaped(Bjorck),
    "aol": AolConvolution,
    "spectral": SpectralConvolution,
    "linf": reshaped(LinfSoftmax),
    "linf_projection": reshaped(LinfProjection),
    "parseval": reshaped(Parseval),
    "none": reshaped(Unconstrained),
}
WITHIN = {
    "l2": {"orthogonal", "shift", "reshaped", "bjorck", "aol", "spectral"},
    "linf": {"linf", "linf_projection"},
}
SIDE = 6
SHAPES = list(itertools.product((1, 2, 4), (1, 4, 6), (1, 2, 3, 5), (1, 2, 3)))


def centred(kernel: int, stride: int, dilation: int) -> int:
    """Circular padding that makes size / stride windows."""
    return (dilation * (kernel - 1) + 1 - stride) // 2


def layers(
    make: Callable[..., Convolution], sizes: tuple[int, int, int, int]
) -> Iterator[Convolution]:
    """Each padding, dilation and grouping of a shape that the construction has."""
    inputs, outputs, kernel, stride = sizes
    for mode, dilation, groups in itertools.product(("zeros", "circular"), (1, 2), (1, 2)):
        paddings = (
            {0, kernel // 2} if mode == "zeros" else {max(0, centred(kernel, stride, dilation))}
        )
        for padding in sorted(paddings):
            try:
                layer = make(
                    *(inputs, outputs, kernel),
                    **{"stride": stride, "padding": padding, "padding_mode": mode},
                    **{"dilation": dilation, "groups": groups},
                )
                layer.geometry.check_input(torch.empty(inputs, SIDE, SIDE))
            except UsageError:
                continue
            yield layer


def disturb(layer: Convolution) -> None:
    """Anything but the first weights, brought back into the set."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(1.5).add_(0.3 * torch.randn_like(parameter))
    layer.retract_()


@pytest.mark.parametrize("name", MAKERS)
def test_stated_constants_hold_on_the_explicit_operator(name: str) -> None:
    torch.manual_seed(0)
    tried = 0
    # A sample of shapes for each construction; the orthogonal ones see them all below.
    for sizes in SHAPES[len(name) % 5 :: 5]:
        for layer in layers(MAKERS[name], sizes):
            disturb(layer)
            matrix = operator(layer, sizes[0], SIDE, SIDE)
            norms = {
                "l2": float(torch.linalg.matrix_norm(matrix, 2)),
                "linf": float(matrix.abs().sum(1).max()),
                "l1": float(matrix.abs().sum(0).max()),
            }
            for norm, true in norms.items():
                stated = layer.lipschitz(norm)
                assert true <= stated * (1 + 1e-12), (sizes, layer, norm)
                if name in WITHIN.get(norm, ()):
                    assert stated <= 1 + 1e-5, (sizes, layer, norm)
            tried += 1
    assert tried >= 20


@pytest.mark.parametrize("mode", ["zeros", "circular"])
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 2), (5, 1)])
@pytest.mark.parametrize(("inputs", "outputs"), [(4, 6), (5, 5), (11, 6), (6, 13)])
def test_shifts_are_the_convolution_with_their_kernel(
    inputs: int, outputs: int, kernel: int, dilation: int, mode: str
) -> None:
    torch.manual_seed(0)
    reach = dilation * (kernel // 2)
    options: dict[str, Any] = {"padding": reach, "padding_mode": mode, "dilation": dilation}
    layer = ShiftConvolution(inputs, outputs, kernel, **options).double()
    disturb(layer)
    same_function(layer, torch.randn(2, inputs, SIDE, SIDE, dtype=torch.double))
    taps = (layer.weight != 0).sum((2, 3))
    assert int(taps.max()) == 1
    values = torch.linalg.svdvals(operator(layer, inputs, SIDE, SIDE))
    assert float(values.max()) <= layer.lipschitz("l2") <= 1 + 1e-5
    if mode == "circular":
        assert float(values.min()) > 1 - 1e-5


def test_shifts_refuse_what_they_cannot_do() -> None:
    for options in ({"kernel": 2}, {"stride": 2}, {"groups": 2}, {"padding": 0}):
        given: dict[str, Any] = {"kernel": 3, "padding": 1} | options
        with pytest.raises(UsageError, match="found shift with kernel"):
            ShiftConvolution(4, 4, **given)


def test_orthogonal_operators_in_float32_over_all_shapes() -> None:
    """The bar: norm at most 1 + 1e-5, with weights composed in float32."""
    torch.manual_seed(0)
    worst = 0.0
    for sizes in SHAPES:
        for layer in layers(OrthogonalConvolution, sizes):
            frozen = ReshapedConvolution(
                *sizes[:3],
                constraint=Unconstrained,
                **{
                    key: getattr(layer.geometry, key)
                    for key in ("stride", "padding", "padding_mode", "dilation", "groups")
                },
            )
            with torch.no_grad():
                weight = layer.weight
                assert weight.dtype == torch.float32
                for part, rows in zip(
                    frozen.parts, weight.chunk(layer.geometry.groups), strict=True
                ):
                    part.copy_(rows.flatten(1))
            values = torch.linalg.svdvals(operator(frozen, sizes[0], SIDE, SIDE))
            worst = max(worst, float(values[0]) - 1)
            assert frozen.lipschitz("l2") <= 1 + 1e-5
            if layer.geometry.padding_mode == "circular":
                # Every singular value is 1: the norm of gradients is kept one way or both.
                assert float(values[-1]) >= 1 - 1e-5, (sizes, layer)
    assert worst <= 1e-5


@pytest.mark.parametrize("config", [StiefelOptimizer(), AdamOptimizer(lr=0.01)])
@pytest.mark.parametrize("sizes", [(4, 8, 3, 1), (8, 4, 3, 1), (2, 8, 4, 2), (1, 4, 3, 1)])
def test_training_stays_on_the_set(config: Any, sizes: tuple[int, int, int, int]) -> None:
    torch.manual_seed(0)
    layer = OrthogonalConvolution(*sizes[:3], stride=sizes[3], padding=1, groups=1)
    optimizer = build_optimizer(layer, config)
    before = layer.weight.detach().clone()
    for _ in range(8):
        optimizer.zero_grad()
        layer(torch.randn(4, sizes[0], SIDE, SIDE)).sin().sum().backward()
        optimizer.step()
    assert not torch.allclose(before, layer.weight, atol=1e-3)
    assert layer.lipschitz("l2") <= 1 + 1e-5
    for parameter in layer.manifold():
        for one in parameter.view(-1, *parameter.shape[-2:]):
            assert orthonormality_error(one) <= 1e-5


def test_the_optimizer_descends() -> None:
    """Towards another orthogonal convolution, from a random start."""
    torch.manual_seed(1)
    target = OrthogonalConvolution(4, 4, 3, padding=1, padding_mode="circular")
    layer = OrthogonalConvolution(4, 4, 3, padding=1, padding_mode="circular")
    optimizer = build_optimizer(layer, StiefelOptimizer(lr=0.1))
    x = torch.randn(8, 4, 6, 6)
    losses = []
    for _ in range(80):
        loss = (layer(x) - target(x).detach()).square().mean()
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert min(losses) < 0.75 * losses[0]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 10**6),
)
def test_folding_changes_nothing(
    outputs: int, inputs: int, kernel: int, stride: int, dilation: int, seed: int
) -> None:
    torch.manual_seed(seed)
    weight = torch.randn(outputs, inputs, kernel, kernel, dtype=torch.double)
    folded = fold(weight, stride, dilation if stride > 1 else 1)
    x = torch.randn(1, inputs, 6 * stride, 6 * stride, dtype=torch.double)
    d = dilation if stride > 1 else 1
    if d * (kernel - 1) + 1 > x.shape[-1]:
        return
    direct = torch.nn.functional.conv2d(x, weight, stride=stride, dilation=d)
    deep = torch.nn.functional.conv2d(torch.nn.functional.pixel_unshuffle(x, stride), folded)
    n = min(direct.shape[-1], deep.shape[-1])
    assert torch.allclose(direct[..., :n, :n], deep[..., :n, :n], atol=1e-12)
    if d == 1:
        assert torch.equal(unfold(folded, stride, kernel), weight)


def test_autocorrelation_is_the_gram_matrix() -> None:
    torch.manual_seed(0)
    kernel = torch.randn(1, 2, 3, 3, 3, dtype=torch.double)
    found = autocorrelation(kernel)[0]
    expected = torch.zeros(2, 2, 5, 5, dtype=torch.double)
    for dy, dx in itertools.product(range(-2, 3), repeat=2):
        for y, x in itertools.product(range(3), repeat=2):
            if 0 <= y + dy < 3 and 0 <= x + dx < 3:
                product = kernel[0, :, :, y, x] @ kernel[0, :, :, y + dy, x + dx].T
                expected[..., dy + 2, dx + 2] += product
    # d and -d are transposes of each other; the convention of sign is torch's.
    match = torch.allclose(found, expected) or torch.allclose(found, expected.transpose(0, 1))
    assert match


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 6), st.integers(0, 10**6))
def test_the_frequency_bound_is_above_and_near_a_fine_grid(
    outputs: int, inputs: int, kernel: int, seed: int
) -> None:
    torch.manual_seed(seed)
    weight = torch.randn(1, outputs, inputs, kernel, kernel, dtype=torch.double)
    fine = torch.fft.fft2(weight[0], s=(97, 97)).movedim((0, 1), (-2, -1))
    true = float(torch.linalg.matrix_norm(fine, 2).max())
    found, _ = frequency_bound(weight)
    assert true <= found <= 1.06 * true


def test_patches_keep_everything() -> None:
    layer = ReshapedConvolution(2, 8, 2, stride=2)
    assert layer.factor == 1.0
    values = torch.linalg.svdvals(operator(layer, 2, SIDE, SIDE))
    assert torch.allclose(values, torch.ones_like(values), atol=1e-5)


def test_the_papers_factor_is_needed() -> None:
    """A reshaped kernel alone may stretch by ceil(k / s): 5 for a constant 5x5 kernel."""
    layer = ReshapedConvolution(1, 1, 5, padding=2, padding_mode="circular", bias=False)
    with torch.no_grad():
        layer.parts[0].fill_(1 / 5)
    assert orthonormality_error(layer.parts[0]) < 1e-6
    matrix = operator(layer, 1, SIDE, SIDE) / layer.factor
    assert float(torch.linalg.matrix_norm(matrix, 2)) == pytest.approx(5, rel=1e-6)
    assert layer.lipschitz("l2") == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [(1, 1, 1, 1), (2, 1, 1, 1), (2, 0, 1, 2), (1, 2, 2, 1)],
)
def test_transposed_convolutions_are_adjoints(
    stride: int, padding: int, dilation: int, groups: int
) -> None:
    torch.manual_seed(0)
    inner = OrthogonalConvolution(
        *(4, 6, 4 if stride == 2 else 3),
        **{"stride": stride, "padding": padding, "dilation": dilation, "groups": groups},
        bias=False,
    )
    up = TransposedConvolution(inner)
    small = [inner.geometry.output_size(SIDE)] * 2
    adjoint = operator(up, 6, *small)
    size = math.isqrt(adjoint.shape[0] // 4)
    forward = operator(inner, 4, size, size)
    assert torch.allclose(adjoint, forward.T, atol=1e-12)
    for norm, true in (
        ("l2", torch.linalg.matrix_norm(adjoint, 2)),
        ("linf", adjoint.abs().sum(1).max()),
        ("l1", adjoint.abs().sum(0).max()),
    ):
        assert float(true) <= up.lipschitz(norm) * (1 + 1e-12)
    assert up.lipschitz("l2") <= 1 + 1e-5


def test_spectral_gradients_point_uphill() -> None:
    torch.manual_seed(0)
    layer = SpectralConvolution(3, 4, 3, padding=1, iterations=8).double()
    with torch.no_grad():
        layer.parameter.mul_(3)
    x = torch.randn(2, 3, SIDE, SIDE, dtype=torch.double)

    def value() -> torch.Tensor:
        return layer(x).sin().sum()

    value().backward()
    gradient = layer.parameter.grad
    assert gradient is not None
    direction = torch.randn_like(gradient)
    with torch.no_grad():
        layer.parameter.add_(direction, alpha=1e-6)
        above = value()
        layer.parameter.add_(direction, alpha=-2e-6)
        below = value()
    # The bound moves with the singular value at one sample, up to how far above it is.
    slope = float((above - below) / 2e-6)
    assert slope == pytest.approx(float((gradient * direction).sum()), rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding_mode": "reflect"}, "padding_mode: found 'reflect'.*zeros, circular"),
        ({"stride": 4}, "kernel: found 3 with stride 4"),
        ({"groups": 3}, "groups: found 3, which does not divide 4 input"),
        ({"stride": 2, "dilation": 2}, "dilation: found 2 with stride 2"),
        ({"stride": 0}, "stride: found 0; allowed: whole numbers, at least 1"),
        ({"padding": -1}, "padding: found -1"),
    ],
)
def test_what_has_no_constant_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        OrthogonalConvolution(4, 4, 3, **options)


def test_circular_padding_refuses_sizes_that_it_covers_twice() -> None:
    layer = OrthogonalConvolution(1, 4, 3, stride=2, padding=1, padding_mode="circular")
    with pytest.raises(UsageError, match="divisible by the stride"):
        layer(torch.zeros(1, 1, 5, 5))
    double = OrthogonalConvolution(1, 4, 3, padding=2, padding_mode="circular")
    with pytest.raises(UsageError, match="size / stride windows"):
        double(torch.zeros(1, 1, 6, 6))


def test_a_kernel_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="does not fit 2x2 pixels"):
        OrthogonalConvolution(1, 4, 5)(torch.zeros(1, 1, 2, 2))


def test_overlap_counts_windows() -> None:
    for kernel, stride, dilation in itertools.product(range(1, 6), range(1, 5), range(1, 5)):
        counts = torch.zeros(200)
        for n in range(0, 30):
            for t in range(kernel):
                counts[stride * n + dilation * t] += 1
        found = Geometry(1, 1, kernel, stride, dilation=dilation).overlap
        assert int(counts.max()) == found, (kernel, stride, dilation)


def test_groups_do_not_mix() -> None:
    layer = OrthogonalConvolution(4, 4, 3, padding=1, groups=2)
    x = torch.zeros(1, 4, SIDE, SIDE)
    x[:, :2] = torch.randn(1, 2, SIDE, SIDE)
    assert float(layer(x)[:, 2:].abs().max().detach()) == 0.0


def test_autocast_leaves_the_kernel_alone() -> None:
    layer = OrthogonalConvolution(4, 8, 3, padding=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = layer.weight
        assert layer(torch.zeros(1, 4, SIDE, SIDE)).dtype == torch.bfloat16
    assert torch.equal(inside, layer.weight)
