"""Benchmarks: `python -m bench all`, or one of its subcommands; one JSON line each."""
