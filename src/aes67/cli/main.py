"""The `aes67` command: parse, dispatch, and turn every failure into one line and an exit code.

Exit codes: 0 done; 1 refused or failed (the line says why); 2 wrong arguments; 3 no daemon answers;
130 interrupted. `selftest`, `latency` and `warmup` are programs of their own with the same meaning.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from aes67.cli.output import error
from aes67.client import Client, Unreachable, default_url
from aes67.errors import Aes67Error

OK, FAILED, USAGE, NO_DAEMON, INTERRUPTED = 0, 1, 2, 3, 130

RUNNERS = {
    "selftest": ("aes67.selftest.audio", "play and record over the network, compare all samples"),
    "latency": ("aes67.selftest.latency", "measure from writing a frame to reading it back"),
    "warmup": ("aes67.engine.warmup", "compile everything now, so that no start waits for it"),
}
"""Commands that are modules run by themselves: name -> (module, what it does)."""

EPILOG = """\
examples:
  aes67 status                            what is going on, in one screen
  aes67 source add --name "Studio A"      send device channels 0 and 1 as a stream
  aes67 sink add --from source:0          receive our own source 0
  aes67 sink add --from studio.sdp        receive what an SDP file describes
  aes67 browse                            what others announce on the network
  aes67 ptp --watch                       follow the clock
  sudo aes67 alsa install                 make the device "aes67" known to all programs
  sudo aes67 service install              run the daemon under systemd
  aes67 selftest --duration 10            prove that every sample arrives

exit codes: 0 done, 1 refused or failed, 2 wrong arguments, 3 no daemon answers
environment: AES67_URL (address of the daemon), NO_COLOR
"""


class _Parser(argparse.ArgumentParser):
    """Says what there is to choose from when nothing was chosen."""

    def error(self, message: str) -> NoReturn:
        if message.endswith((": COMMAND", ": ACTION")):
            self.print_help(sys.stderr)
            self.exit(USAGE, f"\n{self.prog}: error: say which of these\n")
        super().error(message)


class _Version(argparse.Action):
    """`--version`; reading the installed version costs 30 ms, so only when asked."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("aes67")
        except PackageNotFoundError:
            found = "not installed"
        print(f"aes67 {found}")
        parser.exit(OK)


def common_options(defaults: bool) -> argparse.ArgumentParser:
    """Options taken before and after the command; only the outer parser gives them defaults."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--url",
        default=default_url() if defaults else argparse.SUPPRESS,
        help="address of the daemon (default: $AES67_URL or http://127.0.0.1:8080)",
    )
    options.add_argument(
        "--json",
        action="store_true",
        default=False if defaults else argparse.SUPPRESS,
        help="print data as JSON",
    )
    return options


def build_parser() -> argparse.ArgumentParser:
    """The whole command line as argparse knows it."""
    # here and not above, so that a Ctrl-C meanwhile is one of main's
    from aes67.cli import alsa, lint, node, ptp, service, streams

    parser = _Parser(
        prog="aes67",
        description="AES67 audio over the network without a kernel module: look at and "
        "change a running aes67-daemon.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common_options(defaults=True)],
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    options = common_options(defaults=False)
    node.add_commands(commands, options)
    ptp.add_commands(commands, options)
    streams.add_commands(commands, options)
    lint.add_commands(commands, options)
    alsa.add_commands(commands, options)
    service.add_commands(commands, options)
    for name, (_, words) in RUNNERS.items():
        commands.add_parser(name, help=words, add_help=False)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the value is the process's exit code."""
    _open_outputs()
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except Unreachable as problem:
        error(str(problem))
        return NO_DAEMON
    except BrokenPipeError:
        _forget_output()
        return OK
    except OSError as problem:
        error(f"{problem.filename}: {problem.strerror}" if problem.filename else str(problem))
        _forget_output()
        return FAILED
    except Aes67Error as problem:
        error(str(problem))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _run(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in RUNNERS:
        return _run_module(arguments[0], arguments[1:])
    parser = build_parser()
    try:
        parsed = parser.parse_args(arguments)
    finally:
        sys.stdout.flush()  # --help ends here
    if parsed.command in RUNNERS:
        parser.error(f"put the options of {parsed.command} after it")
    code = parsed.run(parsed, Client(parsed.url))
    assert isinstance(code, int)
    return code


def _run_module(name: str, arguments: Sequence[str]) -> int:
    """Become the program of a runner; this process ends here."""
    sys.stdout.flush()
    os.environ["AES67_PROGRAM"] = f"aes67 {name}"
    command = [sys.executable, "-m", "aes67.cli.program", RUNNERS[name][0]]
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))  # until program takes it
    os.execv(sys.executable, [*command, *arguments])


def _open_outputs() -> None:
    """Outputs that can be written to, whatever there is to say.

    Where one was closed (`>&-`), one that nobody reads is opened under its own number.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, "w"))
        output = getattr(sys, name)
        if isinstance(output, io.TextIOWrapper):  # names of others need not be of its alphabet
            output.reconfigure(errors="backslashreplace")


def _forget_output() -> None:
    """Do not try again at exit what could not be written (`| head`, a full disk)."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
