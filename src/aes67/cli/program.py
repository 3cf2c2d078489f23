"""`python -m aes67.cli.program MODULE ARGUMENT...`: a module of ours as a program of its own.

The difference to `python -m MODULE`: Ctrl-C ends it without a word from the first moment on.
Python's own answer is a traceback through whatever was being imported, and the imports of these
programs take seconds on a small board.
"""

from __future__ import annotations

import runpy
import signal
import sys


def main() -> None:
    """Become the program of the module named by the first argument."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else: we are to ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))  # what aes67 kept back for us
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
