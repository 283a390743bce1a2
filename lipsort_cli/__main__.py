"""``python -m lipsort_cli`` is ``lipsort``."""

from __future__ import annotations

from lipsort_cli.app import main

if __name__ == "__main__":
    main()
