"""Pictures of a GAN's training: the critic's gap and slope, and the same noise again and again."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lipsort_cli.figures.style import COLOURS, drawing, picture
from lipsort_cli.files import write_atomic
from lipsort_cli.zoo.generators import Generator


@drawing
def draw_training(path: Path, history: list[dict[str, float]], known: bool, title: str) -> None:
    """The critic's gap against steps, and the slopes between data and samples under it.

    ``history``: logged values, each with ``step``. ``known``: whether the critic's constant is, so
    that the gap over it is a lower bound of the Wasserstein distance of the minibatches.
    """
    if not history:
        return
    steps = [entry["step"] for entry in history]

    def line(axes: Any, name: str, colour: str, style: str, label: str) -> None:
        # One look makes no line.
        marker = "os"[style == "--"] if len(steps) == 1 else None
        values = [entry[name] for entry in history]
        axes.plot(steps, values, style, marker=marker, color=colour, label=label)

    with picture(path, height=5.4) as (figure, _):
        figure.clear()
        above, below = figure.subplots(2, 1, sharex=True)
        if known:
            line(above, "w1_lower", COLOURS[0], "-", "critic's gap over its constant")
            above.set_ylabel("lower bound of W1\n(minibatches, empirical)")
        else:
            line(above, "critic_gap", COLOURS[0], "-", "critic's gap")
            above.set_ylabel("critic's gap\n(no distance)")
        above.set_title(title)
        above.set_ylim(bottom=min(0.0, above.get_ylim()[0]))
        line(below, "gradient_norm", COLOURS[0], "-", "mean")
        line(below, "gradient_norm_largest", COLOURS[1], "--", "largest")
        below.set(xlabel="generator step", ylabel="norm of the critic's gradient\n(empirical)")
        below.margins(y=0.1)  # points at the top are not cut
        below.set_ylim(bottom=0)
        below.legend()


Pixels = NDArray[np.uint8]


def tiled(images: Tensor, columns: int, gap: int = 1) -> Pixels:
    """Images [n, c, h, w] in [0, 1], c 1 or 3, as one picture [H, W, 3], ``columns`` a row."""
    pixels = (images.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    count, channels, height, width = pixels.shape
    if channels not in (1, 3):
        pixels = pixels[:, :1]  # what has no colours is shown by its first channel
    pixels = pixels.expand(count, 3, height, width)
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for number, image in enumerate(pixels.permute(0, 2, 3, 1).numpy()):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


@drawing
def draw_samples(path: Path, samples: Tensor, data: Tensor, title: str) -> None:
    """Generated samples [n, *shape]: a grid of images, or points of the plane over the data's."""
    if samples.dim() == 4:
        columns = round(len(samples) ** 0.5)
        with picture(path, width=5.2, height=5.6) as (_, axes):
            axes.imshow(tiled(samples, columns), interpolation="nearest")
            axes.set_axis_off()
            axes.set_title(title, fontsize=10)
        return
    first, second = (points.flatten(1).detach().cpu().numpy() for points in (data[:2000], samples))
    second_axis = min(1, first.shape[1] - 1)
    with picture(path, width=5.2, height=5.2) as (_, axes):
        for points, colour, size, label in (
            (first, "0.75", 4, "data"),
            (second, COLOURS[0], 4, "generated"),
        ):
            axes.scatter(
                points[:, 0], points[:, second_axis], s=size, color=colour, label=label, lw=0
            )
        low, high = first.min(0), first.max(0)
        margin = 0.25 * float((high - low).max())
        axes.set(xlabel="x1", ylabel=f"x{second_axis + 1}")
        axes.set_xlim(low[0] - margin, high[0] + margin)
        axes.set_ylim(low[second_axis] - margin, high[second_axis] + margin)
        axes.set_title(title, fontsize=10)
        axes.set_aspect("equal")
        axes.legend(loc="upper right", markerscale=3)


class Film:
    """Frames of a fixed noise, numbered files of ``figures/film``; ``film.gif`` at the end.

    Frames are files, so that a resumed run goes on with those that are there.
    """

    COUNT = 64
    POINTS = 1000

    def __init__(self, directory: Path, generator: Generator, noise: Tensor, data: Tensor) -> None:
        self.folder = directory / "figures" / "film"
        self.generator, self.noise, self.data, self.frames = generator, noise, data, 0
        if len(generator.shape) != 3:
            more = torch.Generator().manual_seed(0)
            extra = torch.randn(self.POINTS - len(noise), noise.shape[1], generator=more)
            self.noise = torch.cat([noise, extra.to(noise.device)])

    @torch.no_grad()
    def take(self, caption: str) -> None:
        """Draw the next frame, which is the sample grid of the moment too."""
        samples = self.generator(self.noise)
        path = self.folder / f"{self.frames:04d}.png"
        title = f"Generated samples of the same noise\n{caption}"
        if draw_samples(path, samples, self.data, title):
            write_atomic(self.folder.parent / "samples.png", path.read_bytes())
        self.frames += 1

    def finish(self) -> Path:
        """All frames as ``film.gif``; its path."""
        path = self.folder.parent / "film.gif"
        frames = [self.folder / f"{number:04d}.png" for number in range(self.frames)]
        draw_film(path, [frame for frame in frames if frame.is_file()])
        return path


@drawing
def draw_film(path: Path, frames: list[Path]) -> None:
    """Pictures one after the other as a GIF, four a second, the last one held for longer."""
    from PIL import Image

    pictures = []
    for frame in frames:
        with Image.open(frame) as opened:
            small = opened.convert("RGB")
            small.thumbnail((520, 560))
            pictures.append(small.quantize(64))
    durations = [250] * (len(pictures) - 1) + [2000]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, format="GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0
    )
    write_atomic(path, buffer.getvalue())
