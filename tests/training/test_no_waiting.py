"""A step of training reads nothing back from the device: every task, with every option there is.

The device is `meta`, whose tensors hold no numbers: all that runs on CUDA runs there, and whatever
would make the processor wait for CUDA is written down as it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lipsort_cli.commands import estimate_wasserstein, train, wgan
from lipsort_cli.config.catalog import default_options, group_options
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.typed import to_typed
from lipsort_cli.data import load
from lipsort_cli.devices import sent
from lipsort_cli.errors import UsageError
from lipsort_cli.gan.evaluation import Judgement
from lipsort_cli.layers.constraints import polar
from lipsort_cli.optim import stiefel
from lipsort_cli.training import classifier, engine
from lipsort_cli.training import device as training_device
from lipsort_cli.training.engine import Task
from lipsort_cli.wasserstein.build import build_source

META = torch.device("meta")

READS = {
    "_local_scalar_dense", "is_nonzero", "item", "equal", "allclose", "nonzero", "nonzero_numpy",
    "masked_select", "argwhere", "bincount", "unique_dim", "_unique", "_unique2", "where_indices",
    "unique_consecutive", "unique_dim_consecutive", "_linalg_check_errors", "_linalg_svd",
    "linalg_svd", "linalg_svdvals", "svd", "_linalg_eigh", "linalg_eigh", "linalg_eig",
    "linalg_eigvals", "_linalg_eigvals", "linalg_cholesky", "cholesky", "linalg_inv",
    "linalg_lstsq", "geqrf", "linalg_ldl_factor", "linalg_lu_factor", "linalg_lu_solve",
    "linalg_matrix_rank", "linalg_pinv", "lu_unpack", "histogram", "_histogramdd_bin_edges",
    "combinations", "cartesian_prod", "_pack_padded_sequence", "_assert_async_never",
}  # fmt: skip
"""Operations whose results, or whose checks for errors, the processor waits for on CUDA."""

UNKNOWN: dict[str, Callable[..., Tensor]] = {
    "multi_margin_loss": lambda logits, *_: logits.new_empty(()),
    "multi_margin_loss_backward": lambda _, logits, *__: torch.empty_like(logits),
}
"""Operations that have no form on `meta`, and what has the shape of their results."""


def chosen(index: Tensor | None) -> Tensor | None:
    """Rows instead of the mask [n] of some."""
    if index is None or index.dtype != torch.bool:
        return index
    return index.new_empty(index.shape, dtype=torch.long)


class Watch(TorchDispatchMode):
    """Writes down, in ``waits``, what would wait for CUDA."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = function.overloadpacket.__name__
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        there = any(one.is_meta for one in tensors)
        if there and self.reads(name, args, kwargs, tensors):
            self.waits.append(name)
        if name == "_to_copy" and self.moves(tensors[0], kwargs):
            self.waits.append(f"{name} from {tensors[0].device}")
        if name == "_local_scalar_dense" and there:
            return torch.ones((), dtype=args[0].dtype).item()
        if name == "_to_copy" and there and kwargs.get("device", META).type == "cpu":
            return torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        if name in UNKNOWN and there:
            return UNKNOWN[name](*args)
        if name in ("index", "index_put_", "index_put") and there:  # all that a mask could choose
            args = (args[0], [chosen(one) for one in args[1]], *args[2:])
        return function(*args, **kwargs)

    @staticmethod
    def reads(name: str, args: Any, kwargs: Any, tensors: list[Tensor]) -> bool:
        if name in READS:
            return True
        if name == "repeat_interleave":
            return kwargs.get("output_size") is None
        if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            given = [one for one in args[1] if one is not None]
            return any(one.dtype in (torch.bool, torch.uint8) or not one.is_meta for one in given)
        if name == "copy_":
            return args[0].device != args[1].device and not (len(args) > 2 and args[2])
        # A number in a tensor of the CPU is handed over as it is; more than one is copied.
        return name != "_to_copy" and any(not one.is_meta and one.dim() for one in tensors)

    @staticmethod
    def moves(source: Tensor, kwargs: Any) -> bool:
        target = kwargs.get("device") or source.device
        return bool(
            target.type != source.device.type
            and (source.is_meta or not kwargs.get("non_blocking", False))
        )


@pytest.fixture(autouse=True)
def cuda_like(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products in bfloat16, as on CUDA; autocast knows no such device."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    for module in (polar, stiefel, training_device):
        monkeypatch.setattr(module, "fast_dtype", lambda _: torch.bfloat16)
    # A look's, and the slowest part of making a task.
    monkeypatch.setattr(classifier, "best_route", lambda *_: ("l2", 1.0))


def typed(command: str, *overrides: str) -> Any:
    with Composer(command) as one:
        return to_typed(one.check(list(overrides), multirun=False), command)


@contextmanager
def watched(task: Callable[[], Task]) -> Iterator[tuple[Task, Watch]]:
    with Watch() as watch:
        made = task()
        watch.waits.clear()
        yield made, watch


def steps(task: Callable[[], Task], count: int) -> list[str]:
    """What waits in the first steps of a task."""
    with watched(task) as (made, watch):
        for _ in range(count):
            made.tell()
            engine._timed(made, made.step, 1)
            assert not made.finished
        return watch.waits


SMALL = {
    "train": ["data=digits", "threads=1", "training.batch_size=32"],
    "estimate-wasserstein": ["distribution=absolute_value", "threads=1", "training.batch_size=16"],
    "wgan": ["data=digits", "threads=1", "training.batch_size=8", "training.frames=1"],
}


def task_of(command: str, overrides: list[str], folder: Path) -> Callable[[], Task]:
    usual = command != "wgan" and not any(text.startswith("model=") for text in overrides)
    # What every layer does, two do as well as three; each operation on META takes a while.
    sizes = ["model.widths=[32,32]"] if usual else []
    config = typed(command, *SMALL[command], *sizes, *overrides)
    if command == "train":
        dataset = load(config.data)
        return lambda: train.build_task(config, dataset, META)
    if command == "wgan":
        dataset = load(config.data)
        return lambda: wgan.build_task(config, dataset, META, folder)
    source = build_source(config)
    return lambda: estimate_wasserstein.build_task(config, source, META)


EXTRAS = {
    "train": [
        ["training.gradient_clip=1"],
        ["training.precision=float32"],
        ["training.center=true"],
        ["training.adversarial.eps=0.1"],
        ["training.adversarial.eps=0.1", "training.adversarial.norm=l2"],
        ["training.jacobian_penalty=0.1"],
        ["training.jacobian_penalty=0.1", "training.jacobian_norm=spectral"],
        ["augmentation.shift=1", "augmentation.elastic=1", "augmentation.flip=true",
         "augmentation.crop=1"],
        ["model.dropout=0.5"],
        ["optimizer.rank=4"],
        ["optimizer.interval=2"],
        ["optimizer.rest=sgd"],
        ["optimizer.rest=aggmo", "activation=relu"],
        ["model=ensemble", "model.dropout=0.1", "loss=emma"],
        ["model=sortnet", "model.exact=1", "optimizer=adam"],
        ["evaluation.norm=linf"],
        ["evaluation.norm=l1"],
        ["constraint=bjorck", "constraint.loose_iterations=1"],
    ],
    "estimate-wasserstein": [
        ["norm=linf", "constraint=linf", "optimizer=adam"],
        ["norm=l1", "constraint=linf", "optimizer=adam"],
        ["training.gradient_clip=1"],
        ["training.center=true"],
        ["distribution=cone", "distribution.dim=8", "training.precision=float32"],
    ],
    "wgan": [
        ["critic.loss=hinge"],
        ["critic.steps=2", "training.average=0"],
        ["training.gradient_clip=1", "training.seconds=100"],
    ],
}  # fmt: skip
"""Keys that change what a step does, beside the groups."""

TOGETHER = {
    "train": [("activation", "loss", "schedule"), ("model",), ("constraint",), ("optimizer",)],
    "estimate-wasserstein": [("optimizer",)],
    "wgan": [("generator", "critic"), ("optimizer",)],
}
"""Groups whose options are tried at once, the first of each, then the second; a network's are
tried with one task where that offers them. The others only say where points are from."""

COMPANIONS = [
    [],
    ["model=cnn"],
    ["norm=linf"],
    ["distribution=dataset", "distribution.dataset=digits", "distribution.q=train/8"],
]
"""What an option is tried with in turn, where it does not fit everything."""


def cases() -> Iterator[Any]:
    """Every option of every group, and the extras."""
    tried = set()
    for command, together in TOGETHER.items():
        for groups in together:
            options = [group_options(group, command) for group in groups]
            for row in range(max(map(len, options))):
                pairs = zip(groups, (one[row % len(one)] for one in options), strict=True)
                chosen = [f"{group}={option}" for group, option in pairs]
                tried.update(chosen)
                yield command, chosen
                # Weights are constrained and moved otherwise in convolutions.
                if groups in (("constraint",), ("optimizer",)) and command == "train":
                    yield command, ["model=cnn", *chosen]
        for group in default_options(command):
            if group not in ("data", "distribution", "experiment"):
                for option in group_options(group, command):
                    if f"{group}={option}" not in tried:
                        tried.add(f"{group}={option}")
                        yield command, [f"{group}={option}"]
        for extra in EXTRAS[command]:
            yield command, extra


@pytest.mark.parametrize(
    ("command", "overrides"),
    [one for one in cases() if one != ("train", ["model=cnn", "constraint=mixed"])],
    ids=lambda words: words if isinstance(words, str) else " ".join(words),
)
def test_a_step_waits_for_nothing(command: str, overrides: list[str], tmp_path: Path) -> None:
    refused: UsageError | None = None
    for companions in COMPANIONS:
        try:
            task = task_of(command, [*companions, *overrides], tmp_path)
        except UsageError as error:
            refused = refused or error
            continue
        assert steps(task, 2 if "optimizer" in str(overrides) else 1) == []
        return
    raise AssertionError(f"fits nothing: {refused}")


WAITING: dict[str, Callable[[Tensor], Any]] = {
    "float": lambda x: float(x.sum()),
    "bool": lambda x: bool((x > 0).any()),
    "list": lambda x: x.tolist(),
    "mask": lambda x: x[x > 0],
    "masked write": lambda x: x.index_put((x > 0,), x.new_zeros(())),
    "nonzero": lambda x: x.nonzero(),
    "unique": lambda x: x.unique(),
    "equal": lambda x: torch.equal(x, x),
    "to the CPU": lambda x: x.cpu(),
    "from the CPU": lambda x: x + torch.ones(3).to(x.device),
    "an index of the CPU": lambda x: x[torch.tensor([0, 1])],
    "svd": lambda x: torch.linalg.svdvals(x),
    "solve": lambda x: torch.linalg.solve(x, x),
    "cholesky": lambda x: torch.linalg.cholesky(x),
    "spectral norm": lambda x: torch.linalg.matrix_norm(x, 2),
    "repeats": lambda x: x.repeat_interleave(x[0].long(), 0),
    "number in an index": lambda x: x[x.sum().long()],
}


@pytest.mark.parametrize("name", WAITING)
def test_what_waits_is_seen(name: str) -> None:
    with Watch() as watch:
        x = torch.empty(3, 3, device=META)
        assert watch.waits == []
        with suppress(RuntimeError, NotImplementedError):  # meta may have no result
            WAITING[name](x)
    assert watch.waits


def test_what_is_only_sent_is_let_pass() -> None:
    with Watch() as watch:
        x = torch.empty(3, 3, device=META)
        index = sent(torch.tensor([0, 1]), META)
        (2.0 * x)[index].add(torch.tensor(3.0)).clamp_min(0).amax().sqrt()
        torch.linalg.solve_ex(x, x)
    assert watch.waits == []


RUNS: dict[str, tuple[Any, list[str]]] = {
    "train": (train, ["training.epochs=1", "training.batch_size=720", "evaluation.attack.steps=2",
                      "evaluation.attack.points=5"]),
    "estimate-wasserstein": (estimate_wasserstein, ["training.steps=2", "evaluation.points=50",
                                                    "evaluation.confidence_points=50"]),
    "wgan": (wgan, ["training.steps=2"]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::lipsort_cli.layers.base.LeftConstraintSet")
@pytest.mark.parametrize("command", RUNS)
def test_a_whole_run_keeps_tensors_where_they_are_used(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks, checkpoints, evaluation and pictures too: whatever is read there reads ones."""
    module, overrides = RUNS[command]
    monkeypatch.setattr(module, "resolve_device", lambda _: META)
    # Judging a generator trains other networks; its samples are on the CPU by then.
    monkeypatch.setattr(wgan, "check", lambda *_: None)
    monkeypatch.setattr(wgan, "evaluate", lambda *_: Judgement({"measures": {}}, lambda: None))
    with Watch() as watch:
        module.run(typed(command, *SMALL[command], *overrides), tmp_path)
    assert watch.waits and (tmp_path / "results.json").is_file()


def test_tensors_of_two_devices_do_not_mix() -> None:
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(3, device=META) + torch.ones(3)
