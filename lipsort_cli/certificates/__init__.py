"""Issuing certificates: proven bounds, certified radii, certificate files. Imports no torch.

The numerical kernels are the verifier's (:mod:`lipsort_cli.verifier`); this room adds what an
issuer needs, and never the other way round.
"""

from lipsort_cli.certificates.classification import IssuedCertificate, issue_certificate
from lipsort_cli.certificates.points import (
    CertifiedPoints,
    EvaluatedLogits,
    LayerwiseBound,
    certified_accuracy,
    certify_points,
    evaluate,
    lipschitz_bound,
    load_network,
)
from lipsort_cli.certificates.w1 import W1Certificate, issue_w1_certificate
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.operation import LayerBound

__all__ = [
    "CertifiedPoints",
    "EvaluatedLogits",
    "IssuedCertificate",
    "LayerBound",
    "LayerwiseBound",
    "Network",
    "W1Certificate",
    "certified_accuracy",
    "certify_points",
    "evaluate",
    "issue_certificate",
    "issue_w1_certificate",
    "lipschitz_bound",
    "load_network",
]
