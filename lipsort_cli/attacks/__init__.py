"""Adversaries: empirical upper bounds on robustness, to sandwich certificates from above."""

from lipsort_cli.attacks.deepfool import deepfool
from lipsort_cli.attacks.pgd import fgsm, pgd

__all__ = ["deepfool", "fgsm", "pgd"]
