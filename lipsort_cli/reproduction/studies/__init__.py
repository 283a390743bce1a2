"""The numbered experiments, by what they are about."""

from lipsort_cli.reproduction.studies.classification import CLASSIFICATION
from lipsort_cli.reproduction.studies.expressivity import EXPRESSIVITY
from lipsort_cli.reproduction.studies.generator import GENERATOR_STUDY
from lipsort_cli.reproduction.studies.gradient_norm import GRADIENT_NORM
from lipsort_cli.reproduction.studies.interpretable import INTERPRETABLE
from lipsort_cli.reproduction.studies.robustness import ROBUSTNESS_L2, ROBUSTNESS_LINF
from lipsort_cli.reproduction.studies.small_data import SMALL_DATA
from lipsort_cli.reproduction.studies.theory import THEORY

STUDIES = (
    *(EXPRESSIVITY, CLASSIFICATION, SMALL_DATA, ROBUSTNESS_LINF, ROBUSTNESS_L2),
    *(GRADIENT_NORM, INTERPRETABLE, GENERATOR_STUDY, THEORY),
)
