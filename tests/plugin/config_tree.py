"""Prints what alsa-lib makes of names: {"pcm NAME": evaluated definition or error number} as JSON.

Arguments: `pcm:NAME` or `ctl:NAME`. A process of its own, since alsa-lib reads its configuration
once.
"""

from __future__ import annotations

import json
import sys

from cffi import FFI

ffi = FFI()
ffi.cdef(
    """
    typedef struct _config snd_config_t;
    typedef struct _output snd_output_t;
    extern snd_config_t *snd_config;
    int snd_config_update(void);
    int snd_config_search_definition(snd_config_t *, const char *, const char *, snd_config_t **);
    int snd_config_delete(snd_config_t *);
    int snd_config_save(snd_config_t *, snd_output_t *);
    int snd_output_buffer_open(snd_output_t **);
    size_t snd_output_buffer_string(snd_output_t *, char **);
    int snd_output_close(snd_output_t *);
    """
)
asound = ffi.dlopen("libasound.so.2")


def tree(kind: str, name: str) -> str | int:
    """The definition as text, all functions and arguments resolved, or -errno."""
    found = ffi.new("snd_config_t **")
    error = asound.snd_config_search_definition(
        asound.snd_config, kind.encode(), name.encode(), found
    )
    if error < 0:
        return int(error)
    output = ffi.new("snd_output_t **")
    asound.snd_output_buffer_open(output)
    asound.snd_config_save(found[0], output[0])
    text = ffi.new("char **")
    size = asound.snd_output_buffer_string(output[0], text)
    value = bytes(ffi.buffer(text[0], size)).decode()
    asound.snd_output_close(output[0])
    asound.snd_config_delete(found[0])
    return value


assert asound.snd_config_update() >= 0
names = [argument.split(":", 1) for argument in sys.argv[1:]]
print(json.dumps({f"{kind} {name}": tree(kind, name) for kind, name in names}))
