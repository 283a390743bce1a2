"""`lipsort verify CERTIFICATE`: the verifier under its everyday name."""

from __future__ import annotations

from lipsort_cli.verifier.__main__ import main

__all__ = ["main"]
