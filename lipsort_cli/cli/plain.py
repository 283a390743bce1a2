"""The commands that need no configuration of Hydra's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plain:
    """A command that needs no configuration: ``main(arguments) -> exit code`` of its module."""

    name: str
    help: str

    @property
    def module(self) -> str:
        """Import path of the module that implements it."""
        return f"lipsort_cli.commands.{self.name}"


PLAIN: tuple[Plain, ...] = (
    Plain("verify", "Re-derive every claim of a certificate, independently."),
    Plain("theory", "Check the theory's claims: what ReLU cannot represent, and MaxMin can."),
    Plain("generalisation", "Bound a trained run's probability of error from its certificate."),
    Plain("reproduce", "Run the paper's experiments; assert their orderings; write one report."),
    Plain("zoo", "List networks, activations, constraints, data sets, presets."),
)
