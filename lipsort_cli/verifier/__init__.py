"""Verifies certificates; imports nothing else of the package, and no torch.

NumPy and the standard library are all it needs (``--exact``: python-flint too), so this folder can
be read, audited and shipped alone: ``python -m lipsort_cli.verifier CERTIFICATE``.
"""
