"""A folder of a user's own images: flat, one subfolder a class, or split into train/ and test/."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lipsort_cli.config.data import FolderData
from lipsort_cli.console import command_line, plural, say
from lipsort_cli.data.classes import refuse_unseen, warn_of_alike
from lipsort_cli.data.dataset import Dataset, Split, held_out, make_dataset
from lipsort_cli.data.options import few, packed_words
from lipsort_cli.data.pictures import IMAGES, ArrayView, Reading, hidden, listed, skipped_words
from lipsort_cli.errors import UsageError
from lipsort_cli.files import resolved

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""First words of folders that hold a split rather than a class, in any case."""


def split_of(name: str) -> str | None:
    """The split that a folder or a word says: ``val`` and ``Validation set`` the validation."""
    word = re.match("[a-z]*", name.strip().lower())
    return SPLITS.get(word[0]) if word else None


def load_folder(config: FolderData) -> Dataset:
    """Pixels of all images under ``config.path``, [N, C, H, W]; classes by subfolder.

    Subfolders in the order of their names are the classes, with the images at any depth below; a
    flat folder is one class. Where the subfolders are ``train`` and ``test`` or ``val`` (or
    ``valid``, ``validation``), these are the splits; what is missing of test and validation is a
    share of the training images, held out by a fixed shuffle. Hidden files and folders, and what
    is no image, are skipped, and named on screen.

    Raises:
        UsageError: no such folder, no images, splits that do not agree, or what
            :mod:`lipsort_cli.data.pictures` refuses.
    """
    root = resolved(config.path)
    if not root.is_dir():
        lacking = "which is no folder" if root.exists() else "which does not exist"
        raise UsageError(
            f"data.path: found {config.path}, {lacking}; allowed: a folder of pictures"
            f"{packed_words(root)}"
        )
    parts = {split: _Part.of(folder) for split, folder in _splits(root).items()}
    names = _classes(parts)
    warn_of_alike(root, names)
    folders = {part.folder for part in parts.values()}
    beside = [] if root in folders else sorted(set(root.iterdir()) - folders)
    if words := skipped_words(sum((part.skipped for part in parts.values()), beside), root):
        say(words)
    reading = Reading.of(config, "data")
    channels = reading.channels([file for part in parts.values() for file, _ in part.files])
    files = [file for part in parts.values() for file, _ in part.files]
    pixels = _stacked(reading, files, channels)
    labels = torch.tensor(
        [names.index(name) if names else 0 for part in parts.values() for _, name in part.files]
    )
    read: dict[str, Split] = {}
    start = 0
    for split, part in parts.items():
        span = slice(start, start + len(part.files))
        read[split] = Split(pixels[span], labels[span])
        start = span.stop
    if "test" not in read:
        read["train"], read["test"] = held_out(read["train"], config.test, f"data.path={root}")
        refuse_unseen(
            f"data.path: {root}", names, read["train"],
            "add pictures, take less for the test (data.test), or make folders train and test",
        )  # fmt: skip
        if "validation" in read:
            held = plural(len(read["test"]), "image")
            say(f"{root}: no test folder; the test set has {held} of train/")
    return make_dataset(
        root.resolve().name,
        read["train"],
        read["test"],
        validation=read.get("validation", config.validation),
        bounds=(0.0, 1.0),
        classes=max(1, len(names)),
        names=tuple(names),
        view=ArrayView(255),
    )


def _subfolders(folder: Path) -> list[Path]:
    """By name; without hidden ones, and links that lead back up."""
    here = folder.resolve()
    return [
        sub for sub in sorted(folder.iterdir())
        if sub.is_dir() and not hidden(sub.name) and not here.is_relative_to(sub.resolve())
    ]  # fmt: skip


def _splits(root: Path) -> dict[str, Path]:
    """Folders by split; the root alone as ``train`` where its subfolders are no splits."""
    filled = [sub for sub in _subfolders(root) if listed(sub, deep=True)[0]]
    found: dict[str, Path] = {}
    for sub in filled:
        split = split_of(sub.name)
        if split and split in found:
            raise UsageError(
                f"data.path: {found[split]} and {sub} both name the {split} split; keep one"
            )
        if split:
            found[split] = sub
    others = [sub.name for sub in filled if split_of(sub.name) is None]
    if len(filled) == 1 and "train" not in found and not listed(root)[0]:
        inside = [sub.name for sub in _subfolders(filled[0]) if listed(sub, deep=True)[0]]
        if len(inside) > 1:
            raise UsageError(
                f"data.path: {root} holds one folder, and that holds {few(inside)}: "
                f"{command_line(('data.path', filled[0]))} takes these"
            )
    if "train" not in found or (others and len(found) == 1):
        if found and (others or len(found) > 1):
            _ambiguous(root, found, others)
        return {"train": root}
    if others:
        raise UsageError(
            f"data.path: {root} holds {', '.join(sub.name for sub in found.values())} beside "
            f"{few(others)}; allowed: splits alone, or classes alone"
        )
    order = [split for split in ("train", "validation", "test") if split in found]
    return {split: found[split] for split in order}


def _ambiguous(root: Path, found: dict[str, Path], others: list[str]) -> None:
    """One name of a split among classes may be a class (a train among cars); two are refused."""
    names = [sub.name for sub in found.values()]
    if len(names) > 1:
        raise UsageError(
            f"data.path: {root} holds {few(names + others)}, and no train folder; allowed: "
            "train with test or val, or one folder a class"
        )
    classes = {sub.name for sub in _subfolders(root / names[0])}
    if alike := [name for name in others if classes & {s.name for s in _subfolders(root / name)}]:
        raise UsageError(
            f"data.path: {names[0]} and {alike[0]} in {root} hold subfolders of the same names, as "
            f"splits do; names of splits are {', '.join(SPLITS)}"
        )
    say(f"{root}: {names[0]} lies beside {few(others)} and is read as a class, not as a split")


@dataclass(frozen=True)
class _Part:
    """The images of one split, each with the name of its class (none in a flat folder)."""

    folder: Path
    files: list[tuple[Path, str]]
    skipped: list[Path]

    @classmethod
    def of(cls, folder: Path) -> _Part:
        direct, skipped = listed(folder)
        files: list[tuple[Path, str]] = []
        for sub in _subfolders(folder):
            found, left = listed(sub, deep=True)
            files += [(file, sub.name) for file in found]
            skipped += left if found else [sub]
        if not files:
            return cls(folder, [(file, "") for file in direct], skipped)
        # Images beside folders of classes have no class.
        return cls(folder, files, sorted(direct + skipped))


def _classes(parts: dict[str, _Part]) -> list[str]:
    """Names of the classes: the same in every split."""
    names = {
        split: sorted({name for _, name in part.files if name}) for split, part in parts.items()
    }
    for split, part in parts.items():
        if not part.files:
            raise UsageError(
                f"data.path: {part.folder} holds no images ({', '.join(IMAGES)}), nor do its "
                "subfolders"
            )
        if names[split] != names["train"]:
            raise UsageError(
                f"data.path: the classes of {parts['train'].folder} are "
                f"{few(names['train']) or 'none'}, those of {part.folder} "
                f"{few(names[split]) or 'none'}; they must agree"
            )
    return names["train"]


def _stacked(reading: Reading, files: list[Path], channels: int) -> torch.Tensor:
    """All pixels [N, C, H, W], filled in place: they fill the memory once."""
    stacked: np.ndarray | None = None
    for i, pixels in enumerate(reading.read(files, channels)):
        if stacked is None:
            stacked = np.empty((len(files), *pixels.shape), np.float32)
        stacked[i] = pixels
    assert stacked is not None
    return torch.from_numpy(stacked)
