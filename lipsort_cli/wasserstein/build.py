"""From the configuration group ``distribution`` to a source of samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lipsort_cli.config.data import DigitsData
from lipsort_cli.config.distributions import (
    DatasetDistribution,
    FilesDistribution,
    GeneratorDistribution,
    TranslatedCloudDistribution,
)
from lipsort_cli.config.plugins import made
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.config.wasserstein import EstimateWassersteinConfig
from lipsort_cli.data.distributions.base import Pair
from lipsort_cli.data.distributions.gaussians import (
    AxisMixture,
    ScaledGaussians,
    TranslatedGaussians,
)
from lipsort_cli.data.distributions.radial import Cones, Spheres
from lipsort_cli.data.samples import Samples, load_pair, make_samples
from lipsort_cli.errors import UsageError
from lipsort_cli.identity import file_digest
from lipsort_cli.wasserstein.sources import (
    SamplerSource,
    SampleSource,
    Source,
    rows_once,
    rows_with_replacement,
)
from lipsort_cli.wasserstein.synthetic import SyntheticSource
from lipsort_cli.wasserstein.training import SPLIT, stream

PAIRS: dict[str, Callable[[Any], Pair]] = {
    "absolute_value": lambda c: Cones(dim=1, count=1, radius=c.radius),
    "three_cones": lambda c: Cones(c.dim, c.count, c.spacing, c.radius),
    "cone": lambda c: Spheres(c.dim, [0.0], [c.radius]),
    "shells": lambda c: Spheres(c.dim, list(c.p), list(c.q)),
    "rings": lambda c: Spheres(c.dim, list(c.p), list(c.q)),
    "translated_gaussians": lambda c: TranslatedGaussians(c.dim, c.shift, c.std),
    "scaled_gaussians": lambda c: ScaledGaussians(c.dim, c.std_p, c.std_q),
    "mixture": lambda c: AxisMixture(
        c.dim, list(c.p_means), list(c.q_means), list(c.p_weights), list(c.q_weights), c.std
    ),
}
"""Synthetic pairs by the name of their option."""


def build_source(whole: EstimateWassersteinConfig, device: torch.device | None = None) -> Source:
    """The source of a command's ``distribution``, split by its seed.

    ``device`` is where generators run.

    Raises:
        UsageError: files or values are unfit; the message names the key.
    """
    config, norm, rng = whole.distribution, whole.norm, stream(whole.seed, SPLIT)
    if (pair := made(config, Pair)) is not None:
        return SyntheticSource(pair, config.name, norm)
    if config.name in PAIRS:
        return SyntheticSource(PAIRS[config.name](config), config.name, norm)
    if isinstance(config, TranslatedCloudDistribution):
        return _cloud(config, norm)
    if isinstance(config, GeneratorDistribution):
        return _generator(config, rng, device)
    if isinstance(config, FilesDistribution):
        p, q = load_pair(config)
        support = None if config.support is None else (config.support[0], config.support[1])
        apart = True
    else:
        assert isinstance(config, DatasetDistribution)
        p, q, support = _dataset(config)
        (first, _, one), (second, _, other) = (s.partition("/") for s in (config.p, config.q))
        # A whole split holds the rows of each of its classes.
        apart = first != second or (bool(one and other) and int(one) != int(other))
    return SampleSource(
        p, q, config.name, rng=rng, rows=config.rows, support=support,
        holdout=whole.evaluation.holdout, independent=apart,
    )  # fmt: skip


def _cloud(config: TranslatedCloudDistribution, norm: str) -> SampleSource:
    """Uniform measures on a Gaussian cloud and on its translate.

    W1 = ||t||, as for any measure and its translate. Coordinates are multiples of 2^-12, or of a
    larger power of two where float32 has no room for these, so that the translate is exact.
    """
    pair = TranslatedGaussians(config.dim, config.shift, config.std)
    order = {"l1": 1, "l2": 2, "linf": np.inf}[norm]
    with np.errstate(over="ignore"):  # infinities are refused with the samples
        cloud = pair.sample_p(config.points, np.random.default_rng(0)).astype(np.float64)
        step = np.full(config.dim, config.shift / config.dim**0.5)
        # float32 has 24 bits; one of them is for what both roundings add.
        bits = math.frexp(float(np.abs(cloud).max() + np.abs(step).max()))[1]
        grid = math.ldexp(1.0, min(12, 23 - bits))
        cloud, step = np.round(cloud * grid) / grid, np.round(step * grid) / grid
        p, q = cloud.astype(np.float32), (cloud + step).astype(np.float32)
    return SampleSource(
        make_samples(p, None, name="cloud"),
        make_samples(q, None, name="translated cloud"),
        config.name,
        rng=np.random.default_rng(0),
        truth=float(np.linalg.norm(step, order)),
    )


def _dataset(config: DatasetDistribution) -> tuple[Samples, Samples, tuple[float, float] | None]:
    from lipsort_cli.data import load

    kind: Any = GROUPS["data"][config.dataset]
    where = {} if kind is DigitsData else {"root": config.root, "download": config.download}
    dataset = load(kind(validation=0.0, **where))
    splits = {"train": dataset.train, "test": dataset.test}
    parts = []
    for key in ("p", "q"):
        spec = getattr(config, key)
        name, slash, label = spec.partition("/")
        if name not in splits or (slash and not label.isdigit()):
            raise UsageError(
                f"distribution.{key}: found {spec!r}; allowed: train, test, or a class of one, "
                "such as train/3"
            )
        split = splits[name]
        points = split.inputs.numpy()
        if slash:
            points = points[split.labels.numpy() == int(label)]
            if not len(points):
                raise UsageError(
                    f"distribution.{key}: found {spec!r}; {config.dataset} has the classes 0 to "
                    f"{dataset.classes - 1}"
                )
        named = f"{config.dataset} {spec}"
        parts.append(make_samples(points, None, name=named, option=f"distribution.{key}"))
    return parts[0], parts[1], dataset.bounds


def _generator(
    config: GeneratorDistribution, rng: np.random.Generator, device: torch.device | None
) -> SamplerSource:
    """A trained generator against its data.

    The critic is shown training images; held out are test images, of which the generator has seen
    nothing either. Only of these do bounds for the populations hold.
    """
    from lipsort_cli.gan.runs import GENERATOR, open_generator, sampler

    run = open_generator(config.run)
    generated = fresh = sampler(run.generator, device)
    if config.pool is not None:
        generated = rows_with_replacement(fresh(config.pool, rng))
    train, test = (
        split.inputs.flatten(1).numpy() for split in (run.dataset.train, run.dataset.test)
    )
    unseen = config.split == "test"
    # Inputs that merely happen to lie in [0, 1] say nothing of others.
    pixels = run.dataset.pixels and run.dataset.bounds == (0.0, 1.0)
    boxed = unseen and run.generator.bounded and pixels
    return SamplerSource(
        config.name,
        (generated, rows_with_replacement(train)),
        (fresh, rows_once(test if unseen else train)),
        (fresh, rows_once(test)),
        shape=run.dataset.input_shape,
        box=(0.0, 1.0) if boxed else None,
        fingerprint={
            "name": config.name,
            "run": str(run.directory),
            "generator_sha256": file_digest(run.directory / GENERATOR),
            "data": run.dataset.fingerprint,
        },
    )
