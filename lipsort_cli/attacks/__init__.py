"""Adversaries: empirical upper bounds on robustness, to sandwich certificates from above."""

from lipsort_cli.attacks.pgd import pgd

__all__ = ["pgd"]
