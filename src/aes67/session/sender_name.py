"""The name the SSRCs of sources are made of: the node's, as it was when the first of them began.

An SSRC that changes costs every receiver of that stream packets, so a node that is renamed, or gets
another address its name is made of, goes on as the sender it was while it has sources.
"""

from __future__ import annotations

from dataclasses import replace

from aes67.session.state import State


def settled(before: State, after: State) -> State:
    """`after` with the name of its senders: the one before as long as there was a source to send.

    Without an address nothing is sent and a name that is made of it means nothing: it is empty.
    """
    running = any(source.enabled for source in before.sources.values())
    if before.sender_name and running:
        return replace(after, sender_name=before.sender_name)
    has_address = bool(after.network.address(after.config))
    name = after.network.node_id(after.config) if has_address else ""
    return replace(after, sender_name=name)
