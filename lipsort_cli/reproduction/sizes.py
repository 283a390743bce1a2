"""The sizes that a reproduction comes in: what they change of the presets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lipsort_cli.reproduction.jobs import Job, command_of, expand

MODES = ("quick", "standard", "full")
"""Minutes for all; at most an hour an experiment on two cores; the published sizes."""

_POTENTIAL = ("activation=maxmin,fullsort,relu", "evaluation.confidence_points=500")
_IMAGES = ("training.epochs=3",)
_GAN = ("training.steps=60", "evaluation.samples=500", "evaluation.transport_points=500")

QUICK: dict[str, tuple[str, ...]] = {
    "paper/absolute_value": (*_POTENTIAL, "training.steps=200", "model.widths=[32,32]"),
    "paper/absolute_value_linf": ("training.steps=200", "model.widths=[32,32]"),
    "paper/three_cones": (*_POTENTIAL, "training.steps=300", "model.widths=[36,36,36]"),
    "paper/cone": (*_POTENTIAL, "training.steps=120"),
    "ours/three_cones": ("training.steps=300",),
    "paper/classification": _IMAGES,
    "paper/classification_dropout": _IMAGES,
    "paper/classification_jacobian": _IMAGES,
    "paper/classification_bjorck": _IMAGES,
    "paper/classification_linf": _IMAGES,
    "ours/classification": _IMAGES,
    "paper/small_data": ("training.epochs=8", "data.train_per_class=100"),
    "paper/small_data_dropout": ("training.epochs=8", "data.train_per_class=100"),
    "paper/small_data_bjorck": ("training.epochs=8", "data.train_per_class=100"),
    "ours/small_data": ("training.epochs=20",),
    "paper/robustness_linf": ("model.widths=[128,128,128]", "data.train_per_class=500"),
    "paper/robustness_linf_plain": (*_IMAGES, "data.train_per_class=500"),
    "paper/robustness_linf_pgd": (*_IMAGES, "data.train_per_class=500"),
    "ours/robustness_linf": (*_IMAGES, "data.train_per_class=500"),
    "ours/robustness_linf_l2": (*_IMAGES, "data.train_per_class=500"),
    "paper/robustness_l2": (*_IMAGES, "data.train_per_class=500"),
    "ours/robustness_l2": ("training.epochs=6", "data.train_per_class=500"),
    "paper/gradient_norm": ("training.epochs=5",),
    "ours/gradient_norm": ("training.epochs=5",),
    "paper/wgan": _GAN,
    "paper/wgan_others": _GAN,
    "paper/generator": (*_GAN, "training.average=0.97", "data.train_per_class=1000"),
    "ours/wgan": ("training.steps=200", *_GAN[1:]),
    "paper/generator_distance": ("training.steps=100", "evaluation.points=500"),
    "paper/generator_distance_groupsort": ("training.steps=100", "evaluation.points=500"),
    "ours/generator_distance": (
        "model.widths=[128,128,128]",
        "training.steps=100",
        "evaluation.points=500",
    ),
}
"""What the quick version changes of a preset."""

_ALL = ("data.train_per_class=null", "data.validation=0.05")

FULL: dict[str, tuple[str, ...]] = {
    "ours/classification": (*_ALL, "model.widths=[1024,1024,1024]", "training.epochs=30"),
    "ours/small_data": ("data.train_per_class=100,300,500",),
    "ours/robustness_linf": (*_ALL, "model.widths=[512,512]", "training.epochs=24"),
    "ours/robustness_linf_l2": (*_ALL, "model.widths=[512,512,512]", "training.epochs=50"),
    "ours/robustness_l2": (*_ALL, "model.widths=[512,512,512]", "training.epochs=88"),
    "ours/wgan": ("training.steps=10000", "generator.channels=64", "critic.widths=[512,512,512]"),
    "ours/generator_distance": ("training.steps=3000",),
}
"""What the full version changes of our presets; the published ones have files of their own."""

_THREADED = ("train", "estimate-wasserstein", "wgan")
"""Commands that run one thread each: workers fill the machine."""


def jobs_of(
    preset: str, out: Path, seeds: Sequence[int], mode: str, extra: tuple[str, ...] = ()
) -> list[Job]:
    """The jobs of ``paper/NAME`` or ``ours/NAME`` in the size ``mode``."""
    changes = {"quick": QUICK, "full": FULL}.get(mode, {}).get(preset, ())
    if mode == "full":
        preset = preset.replace("paper/", "paper/full/")
    threads = ("threads=1",) if command_of(preset) in _THREADED else ()
    return expand(preset, out, seeds, (*changes, *threads, *extra))
