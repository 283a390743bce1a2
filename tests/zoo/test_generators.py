"""Generators: shapes, ranges, seeds, and files that are checked when they are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lipsort_cli.config.wgan import DcganGenerator, MlpGenerator
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.gan.training import Average
from lipsort_cli.zoo.generators import build_generator, load_generator, sample, save_generator

SHAPES = [(1, 4, 4), (1, 8, 8), (3, 9, 14), (1, 28, 28), (3, 32, 32), (2, 50, 33)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("normalisation", ["batch", "none"])
def test_images_of_any_size_within_their_range(
    shape: tuple[int, ...], normalisation: str, tmp_path: Path
) -> None:
    configs = (
        DcganGenerator(latent=3, channels=2, normalisation=normalisation),
        MlpGenerator(latent=3, widths=[5], normalisation=normalisation),
    )
    for config in configs:
        generator = build_generator(config, shape)
        batch_norms = [m for m in generator.modules() if "BatchNorm" in type(m).__name__]
        assert bool(batch_norms) == (normalisation == "batch")
        images = sample(generator, 7, seed=1, batch=3)
        assert images.shape == (7, *shape)
        assert images.min() >= 0
        assert images.max() <= 1
        assert torch.allclose(sample(generator, 7, seed=1, batch=7), images, atol=1e-6)
        assert not torch.equal(sample(generator, 7, seed=2), images)
        save_generator(tmp_path / "g.safetensors", generator, config)
        again = load_generator(tmp_path / "g.safetensors")
        assert again.latent == 3
        assert torch.equal(sample(again, 7, seed=1, batch=3), images)


def test_sampling_disturbs_nothing() -> None:
    generator = build_generator(MlpGenerator(latent=3, widths=[5]), (2,)).train()
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    state = torch.get_rng_state()
    sample(generator, 5, seed=0)
    assert generator.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[key], value) for key, value in generator.state_dict().items())
    assert sample(generator, 0, seed=0).shape == (0, 2)


def test_the_last_map_fits_the_data() -> None:
    config = MlpGenerator(latent=3, widths=[5], normalisation="none")
    torch.manual_seed(0)
    centre = torch.tensor([100.0, -40.0])
    linear = build_generator(config, (2,), bounds=None, centre=centre, spread=0.01)
    assert (sample(linear, 50, 0) - centre).abs().max() < 1
    assert not linear.bounded
    assert build_generator(config, (2,), bounds=(0.0, 1.0)).bounded
    assert not build_generator(config, (2,), bounds=(-1.0, 1.0)).bounded
    assert build_generator(MlpGenerator(output="sigmoid"), (2,), bounds=None).bounded
    assert not build_generator(MlpGenerator(output="linear"), (2,)).bounded


def test_points_are_no_images() -> None:
    with pytest.raises(UsageError, match=r"generator: found dcgan .* choose generator=mlp"):
        build_generator(DcganGenerator(), (2,))


def test_a_file_that_is_no_generator_is_named(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    with pytest.raises(LipsortError, match="no such file"):
        load_generator(path)
    config = MlpGenerator(latent=3, widths=[5])
    save_generator(path, build_generator(config, (2,)), config)
    whole = path.read_bytes()
    tensors = load_file(path)
    path.write_bytes(whole[:50])
    with pytest.raises(LipsortError, match="not a safetensors file"):
        load_generator(path)
    save_file(tensors, path)
    with pytest.raises(LipsortError, match="no generator"):
        load_generator(path)
    good = {"format": "lipsort-generator-1", "shape": [2], "bounded": True}
    for faulty in (
        {**good, "config": {"name": "mlp", "latent": 4, "widths": [5], "normalisation": "batch"}},
        {**good, "config": {"name": "os.system", "latent": 3}},
        {**good, "config": {"name": "mlp"}},
        {**good, "config": []},
    ):
        save_file(tensors, path, {"lipsort_generator": json.dumps(faulty)})
        with pytest.raises(LipsortError, match="damaged generator"):
            load_generator(path)
    tensors["body.0.weight"][0, 0] = float("nan")
    header = {**good, "config": vars(config)}
    save_file(tensors, path, {"lipsort_generator": json.dumps(header)})
    with pytest.raises(LipsortError, match="NaN"):
        load_generator(path)


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    config = MlpGenerator(latent=3, widths=[5])
    save_generator(tmp_path / "a", build_generator(config, (2,)), config)
    save_generator(tmp_path / "b", load_generator(tmp_path / "a"), config)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_average_is_the_sum_that_its_formula_says() -> None:
    generator = build_generator(MlpGenerator(latent=3, widths=[5], normalisation="none"), (2,))
    weight = next(generator.parameters())
    average = Average(generator, 0.5)
    kept = next(average.generator.parameters())
    expected = weight.detach().clone()
    for step in range(40):
        with torch.no_grad():
            weight.fill_(float(step))
        average.update(generator, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        assert torch.allclose(kept, expected)
    assert not kept.requires_grad
    last = Average(generator, 0.0)
    with torch.no_grad():
        weight.fill_(7.0)
    last.update(generator, 100)
    assert torch.equal(next(last.generator.parameters()), weight)


def test_the_average_keeps_batch_statistics() -> None:
    generator = build_generator(MlpGenerator(latent=3, widths=[5]), (2,))
    average = Average(generator, 0.9)
    generator.train()(torch.randn(64, 3))
    average.update(generator, 1000)
    kept, own = (
        next(m for m in g.modules() if isinstance(m, torch.nn.BatchNorm1d))
        for g in (average.generator, generator)
    )
    assert kept.running_mean is not None
    assert own.running_mean is not None
    assert torch.allclose(kept.running_mean, 0.1 * own.running_mean)
    assert int(kept.num_batches_tracked or 0) == 1
