"""docs/configuration.md, printed from the rows: `python -m aes67.config.document`."""

from __future__ import annotations

import json

from aes67.config.model import CONTRACT_KEYS, EFFECTS
from aes67.config.reading import rows

HEAD = """\
# Configuration

One JSON object in one file, read at start (`aes67-daemon -c FILE`, default `/etc/daemon.conf`) and
again on SIGHUP to the control process. Every key is optional. A value out of range in the file is
replaced, with one warning naming key, value and range; over HTTP (`POST /api/config`,
`PATCH /api/v1/config`) it is refused. Unknown keys are kept. The file is replaced in one step
before a change is answered: after a power cut there is the old one or the new one. This page is
printed from `aes67/config/model.py`.

"""


def markdown() -> str:
    """The whole page."""
    parts = [HEAD, "Effects:\n\n"]
    parts += [f"* `{name}`: {words}\n" for name, words in EFFECTS.items()]
    for title, ours in (("Keys of the AES67 daemon", False), ("Our own keys", True)):
        parts.append(f"\n## {title}\n\n| key | default | range | effect | |\n")
        parts.append("|---|---|---|---|---|\n")
        for row in rows():
            if (row["key"] in CONTRACT_KEYS) is ours:
                continue
            default = "" if row["default"] is None else f"`{json.dumps(row['default'])}`"
            unit = f", {row['unit']}" if row["unit"] and row["unit"] not in row["range"] else ""
            parts.append(
                f"| `{row['key']}` | {default} | {row['range']}{unit} | {row['effect']} "
                f"| {row['help']} |\n"
            )
    return "".join(parts)


if __name__ == "__main__":
    print(markdown(), end="")
