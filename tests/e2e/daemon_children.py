"""Runs the daemon's loop over children given as shell lines: `NAME=COMMAND ...`, for its tests."""

from __future__ import annotations

import os
import sys

from aes67.daemon import Child, Daemon

if __name__ == "__main__":
    stall, *children = sys.argv[1:]
    named = [each.split("=", 1) for each in children]
    code = Daemon(
        [
            Child(
                name,
                [os.environ.get("CHILDREN_SHELL", "/bin/sh"), "-c", command],
                reloads=name == "control",
                has_rights=name == "engine",
            )
            for name, command in named
        ],
        float(stall),
    ).run()
    print(f"daemon exiting with code: {code}", flush=True)
    sys.exit(code)
