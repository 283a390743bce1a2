"""What commands say of ``points=N``, where there are fewer."""

from __future__ import annotations

from lipsort_cli.console import say


def say_taken(asked: int, taken: int, owner: str) -> None:
    """Say that ``owner`` has fewer points than were asked for, if by default; 0 asks for all."""
    if taken < asked:
        say(f"points={asked}: {owner} has {taken:,}, all taken")
