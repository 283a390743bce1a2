"""Verifies certificates with NumPy and the standard library alone (``--exact``: python-flint too):
this folder can be read, audited and shipped by itself, ``python -m lipsort_cli.verifier``.
"""
