"""Numbers that are none: whoever made the data is told of what is theirs."""

from __future__ import annotations

import pytest
import torch

from lipsort_cli.config.data import ToyData
from lipsort_cli.data.toy import SETS, load_toy
from lipsort_cli.errors import UsageError
from lipsort_cli.extend import Split, make_dataset


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["train", "test", "validation"])
def test_a_data_set_of_someones_own_is_not_told_of_other_options(value: float, where: str) -> None:
    labels = torch.arange(8) % 2
    splits = {name: Split(torch.rand(8, 3), labels) for name in ("train", "test", "validation")}
    splits[where].inputs[2, 1] = value
    with pytest.raises(UsageError, match=r"^mine: found inputs .*NaN.*allowed: finite") as said:
        make_dataset("mine", **splits, bounds=None)
    assert "data." not in str(said.value)


@pytest.mark.parametrize("noise", [1e39, 1e300])
@pytest.mark.parametrize("pattern", SETS)
def test_noise_beyond_float32_is_named_as_such(pattern: str, noise: float) -> None:
    with pytest.raises(UsageError, match=r"^data\.noise: found 1e\+\d+.*allowed: less"):
        load_toy(ToyData(name="toy", pattern=pattern, noise=noise, points=20))
