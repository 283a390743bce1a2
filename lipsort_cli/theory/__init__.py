"""The theory of norm-constrained networks, executable: constructions and checked claims."""

from lipsort_cli.theory.claims import Claim, check_all
from lipsort_cli.theory.exact import ExactNetwork

__all__ = ["Claim", "ExactNetwork", "check_all"]
