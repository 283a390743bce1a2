"""lipsort: train networks of known Lipschitz constant, and certify what they are known to do."""

from __future__ import annotations

__version__ = "0.1.0"
