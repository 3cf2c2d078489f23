"""`python -m aes67.daemon`, where the command is not installed."""

from __future__ import annotations

import sys

from aes67.daemon.command_line import main

if __name__ == "__main__":
    sys.exit(main())
