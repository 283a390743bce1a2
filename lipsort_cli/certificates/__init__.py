"""Issuing certificates: proven bounds, certified radii, certificate files. Imports no torch.

The numerical kernels are the verifier's (:mod:`lipsort_cli.verifier`); this room adds what an
issuer needs, and never the other way round.
"""
