"""Makes the modules of the referee importable, and issues certificates for the adversary."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
