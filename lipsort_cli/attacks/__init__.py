"""Adversaries: empirical upper bounds on robustness, to sandwich certificates from above."""

from lipsort_cli.attacks.deepfool import deepfool
from lipsort_cli.attacks.edge_search import edge_search
from lipsort_cli.attacks.fgsm import fgsm
from lipsort_cli.attacks.pgd import pgd
from lipsort_cli.attacks.search import Findings, distances, lead

__all__ = ["Findings", "deepfool", "distances", "edge_search", "fgsm", "lead", "pgd"]
