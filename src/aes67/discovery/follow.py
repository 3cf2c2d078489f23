"""Which sinks have to follow their remote source to a newer description of the same session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aes67.discovery.remote import RemoteSource
from aes67.errors import WireError
from aes67.session.model import Sink
from aes67.wire import sdp


def newer(sinks: Mapping[int, Sink], sources: Iterable[RemoteSource]) -> dict[int, str]:
    """Sinks by id, and the description each should take.

    A session is the same if its o= line is but for the version; the largest version above the
    sink's own wins. A sink without a description that can be read follows nobody.
    """
    best: dict[tuple[str, ...], tuple[int, str]] = {}
    for source in sources:
        origin = source.description.origin
        if origin is not None and origin.version > best.get(origin.key, (-1, ""))[0]:
            best[origin.key] = (origin.version, source.sdp)
    found = {}
    for number, sink in sinks.items():
        origin = _origin(sink.sdp)
        if origin is None or origin.key not in best:
            continue
        version, text = best[origin.key]
        if version > origin.version and text != sink.sdp:
            found[number] = text
    return found


def _origin(text: str) -> sdp.Origin | None:
    try:
        return sdp.parse(text).origin if text else None
    except WireError:
        return None
