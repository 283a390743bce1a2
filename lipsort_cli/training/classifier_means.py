"""What training measures between two logged lines."""

from __future__ import annotations

from dataclasses import dataclass

ESTIMATE = "certified_accuracy_estimate"
"""Share certified at the largest eps by quick float32 radii: steers, and proves nothing."""

WORST = "worst_case_accuracy"
"""Share of training examples that are right in the worst case within the radius trained for."""


@dataclass
class ClassifierMeans:
    """Sums over the steps since the last logged line.

    ``worst`` says that only the worst case is known: the share that is right whatever moves within
    the radius that training has reached.
    """

    worst: bool = False
    loss: float = 0.0
    correct: float = 0.0
    certified: float = 0.0
    examples: int = 0

    def add(self, loss: float, correct: float, certified: float, examples: int) -> None:
        """Count one step."""
        self.loss += loss * examples
        self.correct += correct
        self.certified += certified
        self.examples += examples

    def means(self) -> dict[str, float]:
        """Mean loss, accuracy and share certified over the window."""
        n = max(1, self.examples)
        if self.worst:
            return {"loss": self.loss / n, WORST: self.correct / n}
        return {
            "loss": self.loss / n,
            "accuracy": self.correct / n,
            ESTIMATE: self.certified / n,
        }
