"""What the training of two networks measures between two logged lines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class StepMeans:
    """Sums over the steps since the last logged line."""

    gap: float = 0.0
    penalty: float = 0.0
    critic_steps: int = 0
    generator: float = 0.0
    steps: int = 0

    def means(self) -> dict[str, float]:
        """Mean gap, penalty and generator's loss a step."""
        n = max(1, self.critic_steps)
        return {
            "critic_gap": self.gap / n,
            "penalty": self.penalty / n,
            "generator_loss": self.generator / max(1, self.steps),
        }
