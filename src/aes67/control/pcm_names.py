"""Keeps the ALSA names of streams beside the engine's socket: they mean what they mean now."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from aes67.session.node import Node
from aes67.session.pcm_names import Named, listing, table

log = logging.getLogger("aes67.names")

TABLE, LISTING = "streams", "streams.conf"
SYSTEM_DIRECTORY = Path("/run/aes67")
SYSTEM_LISTING = Path("/var/lib/alsa/conf.d/60-aes67-streams.conf")
"""Read by alsa-lib of every program, so it is root's to write."""
INSTALLED = Path("/etc/alsa/conf.d/60-aes67.conf")


class PcmNames:
    """Files in the runtime directory, replaced when a stream or its name changes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._written: dict[Path, str] = {}

    def update(self, node: Node) -> None:
        """Write what has changed; a failure is logged, since everything else works without."""
        streams = [Named("source", each.id, each.name, tuple(each.map))
                   for each in node.sources.values()]  # fmt: skip
        streams += [Named("sink", each.id, each.name, tuple(each.map))
                    for each in node.sinks.values()]  # fmt: skip
        self._write(self._directory / TABLE, table(streams))
        shown = listing(streams)
        self._write(self._directory / LISTING, shown)
        if os.geteuid() == 0 and self._directory == SYSTEM_DIRECTORY and INSTALLED.exists():
            self._write(SYSTEM_LISTING, shown)

    def close(self) -> None:
        """Take the lists away: without a daemon there are no streams to open."""
        for path in (self._directory / LISTING, SYSTEM_LISTING):
            if path in self._written:
                path.unlink(missing_ok=True)

    def _write(self, path: Path, text: str) -> None:
        if self._written.get(path) == text:
            return
        temporary = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text, encoding="utf-8")
            temporary.chmod(0o644)
            temporary.replace(path)
        except OSError as error:
            log.warning("%s: %s", path, error.strerror or error)
        self._written[path] = text
