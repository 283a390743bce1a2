"""How the lines of the pages are run: in a folder that has what they name, and small.

A line runs as it is written, with those words of ``SMALL`` behind it that its configuration knows;
of a sweep the first two values of each key are taken. Whatever it names (RUN, A, new.csv,
outputs/train/DATE/TIME, ...) lies in its folder under that name.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import lipsort
from omegaconf import DictConfig, OmegaConf
from pages import Example

from lipsort_cli.cli.tuning import OWN, with_command
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.schema import find

SMALL = {
    "training.epochs": "1",
    "training.steps": "3",
    "training.seconds": "null",
    "training.frames": "2",
    "training.check_points": "50",
    "data.train_per_class": "10",
    "model.widths": "[16,16]",
    "model.centres": "40",
    "critic.widths": "[16]",
    "critic.channels": "[]",
    "generator.widths": "[16]",
    "generator.channels": "4",
    "distribution.rows": "60",
    "evaluation.points": "60",
    "evaluation.confidence_points": "100",
    "evaluation.samples": "60",
    "evaluation.critic_steps": "2",
    "evaluation.transport_points": "60",
    "evaluation.attack.points": "5",
    "trials": "2",
    "workers": "1",
}
"""What makes a training of any command small."""

FEW_POINTS = {"attack": ["points=5", "steps=5"], "inspect": ["points=5", "pictures=2"]}
"""What makes a look at a finished run small."""

_SWEPT = re.compile(r"([\w./]+)=([^,\[\]()]+(?:,[^,\[\]()]+)+)")
_FLAGS = ("-m", "--multirun")


def small(example: Example) -> list[str]:
    """The words of a command line of `lipsort`, made small."""
    name, *rest = (
        str(next(Path().glob(word))) if "*" in word and "=" not in word else word
        for word in example.arguments
    )
    command = find(name)
    if command is None or any(w.startswith(("resume=", "--cfg", "--help")) for w in rest):
        return [name, *rest]
    if command.name == "tune":
        handed_on = [word for word in _plain(rest) if word.partition("=")[0] not in OWN]
        return [name, *rest, *_known("tune", with_command(rest)), *_known(rest[0], handed_on)]
    if command.takes or command.many or command.argument:
        return [name, *rest, *FEW_POINTS.get(command.name, [])]
    words = [_first_two(word) if set(rest) & set(_FLAGS) else word for word in rest]
    return [name, *words, *_known(command.name, _plain(rest))]


def _plain(words: list[str]) -> list[str]:
    """The words that every job of a sweep, or trial of a search, has."""
    return [w for w in words if re.match(r"[\w./]+=[^(]*$", w) and not _SWEPT.fullmatch(w)]


def _first_two(word: str) -> str:
    found = _SWEPT.fullmatch(word)
    return f"{found[1]}={','.join(found[2].split(',')[:2])}" if found else word


def _known(command: str, words: list[str]) -> list[str]:
    with Composer(command) as composer:
        made = composer.compose(words)
    found = [f"{key}={value}" for key, value in SMALL.items() if _has(made, key)]
    if swept := made.hydra.sweeper.get("params"):  # a preset that is a sweep
        found += ["-m", *(_first_two(f"{key}={values}") for key, values in swept.items())]
    return found


def _has(made: Any, key: str) -> bool:
    """Whether a configuration has ``key``, which may be null."""
    for part in key.split("."):
        if not isinstance(made, DictConfig) or part not in made:
            return False
        made = OmegaConf.select(made, part)
    return True


MAKERS = {
    "classifier": ["train", "data.train_per_class=40", "evaluation.eps=[0.1,1.58]"],
    "relu": ["train", "activation=relu"],
    "table": ["train", "data=table", "data.path=new.csv", "data.label=class"],
    "generator": ["wgan"],
    "imported": ["import", "model.onnx", "data=digits"],
    "imported alone": ["import", "model.onnx"],
    "stopped": ["train", "training.batch_size=16"],
    "stopped sweep": ["train", "-m", "training.batch_size=16", "seed=0,1"],
    "stopped generator": ["wgan"],
    "study": ["tune", "train", "optimizer.lr=log(1e-3,1)"],
}
"""The line that makes a run or a sweep; those that are stopped were so before their last step."""

PLACES = {
    "A": "classifier",
    "B": "relu",
    "outputs/import/DATE/TIME": "imported",
    "outputs/train/2026-01-31/12-00-00": "stopped",
    "outputs/train/2026-01-31/12-00-00-000000": "stopped",
    "outputs/train/2026-01-31/13-00-00": "stopped sweep",
    "outputs/tune/DATE/TIME": "study",
    "runs/1/mnist": "classifier",
    "runs/2/mnist": "relu",
}
"""What lies where the pages say that a run lies; RUN and outputs/train/DATE/TIME depend."""


class Workshop:
    """Runs and files that the pages name, made by the commands themselves when they are needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "files"
        self.files.mkdir()
        _write_files(self.files)

    def run(self, name: str) -> Path:
        """The folder of ``MAKERS[name]``."""
        made = self.folder / name.replace(" ", "-")
        if not made.exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(self.files)
                patch.setattr("lipsort_cli.gan.evaluation.features._STEPS", 5)
                words = MAKERS[name]
                where = "sweep" if "-m" in words else "run"
                if name.startswith("stopped"):
                    _stop_before_the_end(patch)
                line = shlex.join(["lipsort", *words, f"hydra.{where}.dir={made}"])
                code = lipsort(patch, *small(Example(line)))
                assert code == (130 if name.startswith("stopped") else 0), line
        return made

    def lay_out(self, line: str, folder: Path) -> None:
        """Put into ``folder`` what a line names, under the names that it has there."""
        shutil.copytree(self.files, folder, dirs_exist_ok=True)
        newest = "table" if ".csv" in line and "predict" in line else "classifier"
        places = {**PLACES, "RUN": newest, "outputs/train/DATE/TIME": newest}
        if re.search(r"distribution.run=|points=500|wgan|generator_distance", line):
            places["RUN"] = "stopped generator" if "resume" in line else "generator"
        if "data=npz" in line:
            places["outputs/import/DATE/TIME"] = "imported alone"
        for place, name in places.items():
            fits = line.startswith("lipsort report") and place.startswith("runs/")
            if fits or re.search(rf"(^|[ =]){re.escape(place)}($|[ /])", line):
                shutil.copytree(self.run(name), folder / place, dirs_exist_ok=True)
        if not (folder / "outputs").exists():
            shutil.copytree(self.run(newest), folder / "outputs/train/DATE/TIME")
        if re.search(r"mnist|28,28", line):
            shutil.copy(folder / "image.onnx", folder / "model.onnx")
        if "verify" in line:
            with pytest.MonkeyPatch.context() as patch:
                for record in folder.rglob("run.json"):
                    assert lipsort(patch, "certify", str(record.parent)) == 0


def _stop_before_the_end(patch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C in the second step of whatever is trained."""
    from lipsort_cli.gan.training import GanTask
    from lipsort_cli.training.classifier import ClassifierTask

    for kind in (GanTask, ClassifierTask):

        def pressed(self: Any, step: Any = kind.step) -> None:
            if self.at.step == 1:
                signal.raise_signal(signal.SIGINT)
            step(self)

        patch.setattr(kind, "step", pressed)


def _write_files(folder: Path) -> None:
    import torch
    from PIL import Image

    rng = np.random.default_rng(0)
    np.save(folder / "a.npy", rng.random((60, 2), np.float32))
    np.savetxt(folder / "b.csv", rng.random((60, 2)) + 1, delimiter=",", header="x,y", comments="")
    images = rng.random((20, 1, 8, 8), np.float32)
    labels = np.arange(20) % 10
    np.savez(folder / "mine.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    rows = [f"{a:.3f},{b:.3f},{'oak' if a > b else 'beech'}" for a, b in rng.random((90, 2))]
    (folder / "new.csv").write_text("\n".join(["length,width,class", *rows]) + "\n")
    (folder / "patients.csv").write_text("\n".join(["age,dose,diagnosis", *rows]) + "\n")
    for number in range(40):
        picture = folder / "photos" / f"{number:02}.png"
        picture.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(picture)
    for name, size in (("model", 8), ("image", 28)):
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(size * size, 10))
        torch.onnx.export(
            network.eval(), (torch.zeros(1, 1, size, size),), folder / f"{name}.onnx", dynamo=False
        )
