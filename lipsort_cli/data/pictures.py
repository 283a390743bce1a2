"""What a picture's numbers are: the one place that decides, for data sets, samples and generators.

A pixel is its level over the full scale of its bits, in [0, 1]: the float32 nearest to k / 255 or
k / 65535. Pictures are [channels, height, width], upright as their EXIF orientation says, with one
channel (grey) or three (RGB). What a viewer does not show (colours behind full transparency, bits
that the decoder would cut, further frames) never counts without a word: such files are refused.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.config.certificates import UnseenData
from lipsort_cli.config.data import FolderData
from lipsort_cli.config.distributions import FilesDistribution
from lipsort_cli.console import plural, say, warn
from lipsort_cli.errors import UsageError
from lipsort_cli.files import readable
from lipsort_cli.quoting import setting

Pixels = NDArray[np.float32]

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
"""Endings of the names of pictures."""

MOST_PIXELS = 2**24
"""Of a picture that is taken as it is: a few bytes may stand for as many as they like."""
MOST_SCALED = 2**26
"""Of one that is scaled down."""

APART = 20
"""Times that one of two arrays may reach further than the other and still be of its unit."""

_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
_COLOUR = ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV")
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_MOST_CHANNELS = 4
_GROUNDS = {"black": 0, "white": 1}


# --- arrays that hold pictures --------------------------------------------------------------------


@dataclass(frozen=True)
class ArrayView:
    """How the rows of an array are read: divided by ``full``, channels moved to the front."""

    full: int | None = None
    channels_last: bool = False

    def __call__(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Rows [k, ...] as pixels, or as they are."""
        if self.channels_last:
            rows = np.moveaxis(rows, -1, 1)
        return rows if self.full is None else scaled(rows, self.full)

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of what rows of ``shape`` [...] become."""
        return (shape[-1], *shape[:-1]) if self.channels_last else shape


def scaled(levels: NDArray[Any], full: int) -> Pixels:
    """Levels 0 to ``full`` as the float32 nearest to k / full."""
    return np.divide(levels, np.float32(full), dtype=np.float32)


def full_scale(dtype: np.dtype[Any]) -> int | None:
    """255 and 65535 for the two dtypes that pictures are stored in, None for any other."""
    return {1: 255, 2: 65535}.get(dtype.itemsize) if dtype.kind == "u" else None


def announced_scale(name: str, dtype: np.dtype[Any], highest: int) -> int | None:
    """What levels of ``dtype`` up to ``highest`` are divided by, said on screen; None for nothing.

    Levels of 0 and 1 are numbers. Others are pixels, with a warning where all are dark.
    """
    full = full_scale(dtype)
    if full is None:
        return None
    if highest <= 1:
        say(f"{name}: {dtype} of 0 and 1 only, taken as these numbers, not as pixels k/{full}")
        return None
    words = f"{name}: {dtype}, read as pixels k/{full}"
    if 4 * highest < full:
        warn(f"{words}, though none is above {highest}; save float32 if these are no pixels")
    else:
        say(words)
    return full


def channels_last(shape: tuple[int, ...], layout: str = "auto") -> bool:
    """Whether rows of ``shape`` [...] are [height, width, channels].

    ``layout`` is ``first``, ``last``, or ``auto``: up to four channels behind, with more than four
    in front, unless the last two sides are equal, as of square pictures with channels in front;
    or more channels behind where the first two sides are equal, and so large.
    """
    if len(shape) != 3 or layout != "auto":
        return len(shape) == 3 and layout == "last"
    few = shape[2] <= _MOST_CHANNELS or shape[0] == shape[1]
    return few and shape[0] > _MOST_CHANNELS and shape[1] != shape[2]


def channels_warning(shape: tuple[int, ...], name: str, way_out: str = "") -> str:
    """What is said where :func:`channels_last` found channels behind."""
    height, width, channels = shape
    return (
        f"{name}: pictures of shape {list(shape)} are read as {plural(channels, 'channel')} of "
        f"{height}x{width} pixels, channels last{way_out}"
    )


# --- files ----------------------------------------------------------------------------------------


def hidden(name: str) -> bool:
    """Whether a file or folder is no user's own: ``.ipynb_checkpoints``, ``__MACOSX``, ...."""
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir")


def listed(folder: Path, *, deep: bool = False) -> tuple[list[Path], list[Path]]:
    """Pictures in ``folder`` (with ``deep``, at any depth), by name, and what was skipped there."""
    found: list[Path] = []
    skipped: list[Path] = []
    seen: set[str] = set()  # links are followed, but not in circles, nor up
    above = {str(parent) for parent in Path(os.path.realpath(folder)).parents}
    for root, folders, files in os.walk(folder, followlinks=True):
        if (place := os.path.realpath(root)) in seen | above:
            folders.clear()
            continue
        seen.add(place)
        skipped += [Path(root, name) for name in folders if hidden(name)]
        folders[:] = sorted(name for name in folders if not hidden(name)) if deep else []
        for name in files:
            picture = Path(name).suffix.lower() in IMAGES and not hidden(name)
            (found if picture else skipped).append(Path(root, name))
    return sorted(found), sorted(skipped)


def skipped_words(skipped: Sequence[Path], root: Path) -> str:
    """One sentence on what was left out of ``root``; empty where nothing was."""
    if not skipped:
        return ""
    names = [str(path.relative_to(root)) for path in skipped]
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"{root}: skipped, as no pictures of the set: {', '.join(names[:4])}{more}"


@dataclass(frozen=True)
class Reading:
    """How files become pixels; the options of every folder of pictures.

    ``colour`` is grey, rgb, or auto: rgb as soon as one file has colours. ``background`` is what
    transparent pixels are laid on. ``size`` cuts and scales to a square. ``key`` is the group of
    the options, for messages.
    """

    colour: str = "auto"
    size: int | None = None
    background: str | None = None
    key: str = "data"

    @classmethod
    def of(cls, config: FolderData | UnseenData | FilesDistribution | None, key: str) -> Reading:
        """From the node of a configuration that has some of the options."""
        given = {n: getattr(config, n) for n in ("colour", "size", "background")
                 if hasattr(config, n)}  # fmt: skip
        return cls(key=key, **given)

    def channels(self, files: Sequence[Path]) -> int:
        """1 or 3; opens the headers of ``files`` where the option does not say."""
        if self.colour != "auto":
            return 1 if self.colour == "grey" else 3
        for file in files:
            with _opened(file) as image:
                if image.mode not in _GREY:
                    return 3
        return 1

    def read(self, files: Sequence[Path], channels: int) -> Iterator[Pixels]:
        """Pixels of each file, [channels, h, w].

        Raises:
            UsageError: sizes differ and ``size`` is not given, a file is no readable picture, or
                holds what would be lost.
        """
        first: tuple[Path, tuple[int, ...]] | None = None
        for file in files:
            with _opened(file) as image:
                _refuse_loss(image, file)
                pixels = self.pixels(image, file, channels)
            first = first or (file, pixels.shape)
            self.same_size(file, pixels.shape, first[0].name, first[1])
            yield pixels

    def same_size(
        self, file: Path | str, shape: tuple[int, ...], first: str, expected: tuple[int, ...]
    ) -> None:
        """Raise UsageError where a picture's ``shape`` is not ``expected``, that of the first."""
        if shape == expected:
            return
        size = setting(self.key, "size") if self.key != "distribution" else ""
        raise UsageError(
            f"{size and size + ': '}{file} has {shape[2]}x{shape[1]} pixels, {first} "
            f"{expected[2]}x{expected[1]}; all images of a folder need one size"
            + (f": {size}=N cuts and scales all to NxN" if size else "")
        )

    def pixels(self, image: Any, file: Path | str, channels: int) -> Pixels:
        """Pixels of a picture that Pillow has open, [channels, h, w]; ``file`` for messages."""
        from PIL import ImageOps

        most = MOST_PIXELS if self.size is None else MOST_SCALED
        if image.size[0] * image.size[1] > most:
            sized = self.key != "distribution" and self.size is None
            way_out = f", or {setting(self.key, 'size')}=N" if sized else ""
            raise UsageError(
                f"{file}: found {image.size[0]}x{image.size[1]} pixels; allowed: at most "
                f"{most:,} a picture{way_out}"
            )
        ImageOps.exif_transpose(image, in_place=True)
        full = 65535 if image.mode in _DEEP else 255
        levels = self._levels(image, file)
        if levels.ndim == 3 and channels == 1:
            # The luma that Pillow converts with, of ITU-R 601-2.
            levels = _by_rows(_grey, levels)
        if self.size is not None:
            levels = _fitted(levels, self.size, full)
        stacked = levels[None] if levels.ndim == 2 else np.moveaxis(levels, 2, 0)
        return np.repeat(scaled(stacked, full), channels // len(stacked), axis=0)

    def _levels(self, image: Any, file: Path | str) -> NDArray[Any]:
        """Levels [h, w] or [h, w, 3] as a viewer shows them."""
        grey = image.mode in _GREY
        if image.mode in _DEEP:
            levels = np.asarray(image).astype(np.uint16)
            clear = image.info.get("transparency")
            alpha = np.where(levels == clear, 0, 255) if isinstance(clear, int) else None
            ground = 65535 * _GROUNDS.get(self.background or "", 0)
        elif "transparency" in image.info or image.mode in ("LA", "La", "RGBA", "RGBa", "PA"):
            rgba = _array(image, "RGBA")
            levels, alpha = rgba[:, :, 0] if grey else rgba[:, :, :3], rgba[:, :, 3]
            ground = 255 * _GROUNDS.get(self.background or "", 0)
        else:
            return _array(image, "L" if grey else "RGB")
        if alpha is None or int(alpha.min()) == 255:
            return levels
        if self.background is None:
            raise UsageError(
                f"{setting(self.key, 'background')}: {file} has transparent pixels, whose colours "
                f"nobody sees; say what they lie on: "
                f"{setting(self.key, 'background', 'white')} (allowed: "
                f"{', '.join(_GROUNDS)})"
            )
        return _by_rows(lambda rows, alpha: _blended(rows, alpha, ground), levels, alpha)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """``PIL.Image.open`` whose every failure, there or while decoding, is one message."""
    from PIL import Image

    with readable(file, fault="not a readable image"), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file) as image:
            yield image


def _refuse_loss(image: Any, file: Path) -> None:
    """Refuse what Pillow would cut without a word."""
    # To count the frames of a film takes as long as to read it. A phone's second is a preview.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise UsageError(f"{file}: found several pictures in one file; save each in its own")
    deep = ""
    if image.format == "PNG":
        with file.open("rb") as opened:
            depth, kind = opened.read(26)[24:26]
        if depth == 16 and kind != 0:
            deep = "16 bits a colour channel"
    elif image.format == "TIFF":
        bits, signs = max(image.tag_v2.get(258, (1,))), image.tag_v2.get(339, (1,))
        if bits > 8 and not (bits == 16 and image.mode.startswith("I;16")):
            deep = f"{bits} bits a channel in mode {image.mode}"
        elif set(signs) & {2, 3}:
            deep = "levels with a sign"
        elif bits == 16 and image.tag_v2.get(262) == 0:
            deep = "16 bits of grey with white as 0"
        elif image.tag_v2.get(274, 1) > 4 and image.info.get("compression") == "raw":
            deep = "uncompressed rows on their side, which Pillow puts in a wrong order"
    elif image.format == "PPM":
        found = _maxval(file)
        if (255 % found and 65535 % found) or (found > 255 and image.mode == "RGB"):
            deep = f"levels up to {found}"
    if deep or image.mode not in _GREY + _COLOUR:
        raise UsageError(
            f"{file}: found {deep or f'pixels of mode {image.mode}'}; allowed: 8 bits a channel, "
            "or 16 bits of grey; convert it, or save arrays as .npy or .npz"
        )


def _maxval(file: Path) -> int:
    """The largest level that a PGM or PPM file states; 255 where it has none (bitmaps)."""
    with file.open("rb") as opened:
        lines = opened.read(4096).split(b"\n")
    words = b" ".join(line.split(b"#")[0] for line in lines).split()
    graphic = words[0] in (b"P2", b"P3", b"P5", b"P6") and len(words) > 3 and words[3].isdigit()
    return max(1, int(words[3])) if graphic else 255


def _array(image: Any, mode: str) -> NDArray[Any]:
    return np.asarray(image if image.mode == mode else image.convert(mode))


def _by_rows(function: Callable[..., NDArray[Any]], *arrays: NDArray[Any]) -> NDArray[Any]:
    """``function`` of some rows of large pictures at a time, so that they fill the memory once."""
    step = max(1, 2**20 // max(1, arrays[0].shape[1]))
    pieces = range(0, len(arrays[0]), step)
    return np.concatenate([function(*(a[i : i + step] for a in arrays)) for i in pieces])


def _blended(levels: NDArray[Any], alpha: NDArray[Any], ground: int) -> NDArray[Any]:
    """Levels as they look on a ground, seen through by ``alpha`` of 255."""
    share = (alpha / 255)[..., None] if levels.ndim == 3 else alpha / 255
    return np.rint(levels * share + ground * (1 - share)).astype(levels.dtype)


def _grey(levels: NDArray[Any]) -> NDArray[Any]:
    from PIL import Image

    return np.asarray(Image.fromarray(levels).convert("L"))


def _fitted(levels: NDArray[Any], size: int, full: int) -> NDArray[Any]:
    """Cut in the middle and scaled to [size, size]."""
    from PIL import Image, ImageOps

    deep = full > 255
    image = Image.fromarray(levels.astype(np.float32) if deep else levels)
    found = np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS))
    return np.clip(np.rint(found), 0, full) if deep else found
