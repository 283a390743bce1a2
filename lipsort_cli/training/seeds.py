"""Seeds of what a step draws: a function of the run's seed and the position, of nothing else."""

from __future__ import annotations


def mixed_seed(seed: int, purpose: int, position: int) -> int:
    """A generator's seed from the run's: distinct for every purpose and position."""
    # Odd multipliers of splitmix64, so that neighbouring seeds share no streams.
    mixed = seed * 0x9E3779B97F4A7C15 + purpose * 0xBF58476D1CE4E5B9 + position * 0x94D049BB133111EB
    return mixed % 2**63
