"""libasound through cffi, as little of it as a full-duplex client needs.

ABI mode: nothing is compiled, the library is the system's. ALSA reads its configuration from the
environment at the first open, so set `ALSA_CONFIG_PATH` before.
"""

from __future__ import annotations

import errno
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import cffi

from aes67.errors import Aes67Error

DECLARATIONS = """
typedef struct snd_pcm snd_pcm_t;
typedef struct snd_pcm_hw_params snd_pcm_hw_params_t;
typedef struct snd_pcm_sw_params snd_pcm_sw_params_t;
typedef unsigned long snd_pcm_uframes_t;
typedef long snd_pcm_sframes_t;
const char *snd_strerror(int errnum);
int snd_pcm_open(snd_pcm_t **pcm, const char *name, int stream, int mode);
int snd_pcm_close(snd_pcm_t *pcm);
int snd_pcm_hw_params_malloc(snd_pcm_hw_params_t **ptr);
void snd_pcm_hw_params_free(snd_pcm_hw_params_t *obj);
int snd_pcm_hw_params_any(snd_pcm_t *pcm, snd_pcm_hw_params_t *params);
int snd_pcm_hw_params_set_access(snd_pcm_t *pcm, snd_pcm_hw_params_t *params, int access);
int snd_pcm_hw_params_set_format(snd_pcm_t *pcm, snd_pcm_hw_params_t *params, int format);
int snd_pcm_hw_params_set_channels(snd_pcm_t *pcm, snd_pcm_hw_params_t *params, unsigned int val);
int snd_pcm_hw_params_set_rate(snd_pcm_t *pcm, snd_pcm_hw_params_t *params, unsigned int val,
                               int dir);
int snd_pcm_hw_params_set_period_size(snd_pcm_t *pcm, snd_pcm_hw_params_t *params,
                                      snd_pcm_uframes_t val, int dir);
int snd_pcm_hw_params_set_buffer_size(snd_pcm_t *pcm, snd_pcm_hw_params_t *params,
                                      snd_pcm_uframes_t val);
int snd_pcm_hw_params(snd_pcm_t *pcm, snd_pcm_hw_params_t *params);
int snd_pcm_sw_params_malloc(snd_pcm_sw_params_t **ptr);
void snd_pcm_sw_params_free(snd_pcm_sw_params_t *obj);
int snd_pcm_sw_params_current(snd_pcm_t *pcm, snd_pcm_sw_params_t *params);
int snd_pcm_sw_params_set_start_threshold(snd_pcm_t *pcm, snd_pcm_sw_params_t *params,
                                          snd_pcm_uframes_t val);
int snd_pcm_sw_params_set_avail_min(snd_pcm_t *pcm, snd_pcm_sw_params_t *params,
                                    snd_pcm_uframes_t val);
int snd_pcm_sw_params(snd_pcm_t *pcm, snd_pcm_sw_params_t *params);
int snd_pcm_format_value(const char *name);
int snd_pcm_prepare(snd_pcm_t *pcm);
int snd_pcm_start(snd_pcm_t *pcm);
int snd_pcm_drop(snd_pcm_t *pcm);
int snd_pcm_wait(snd_pcm_t *pcm, int timeout);
snd_pcm_sframes_t snd_pcm_writei(snd_pcm_t *pcm, const void *buffer, snd_pcm_uframes_t size);
snd_pcm_sframes_t snd_pcm_readi(snd_pcm_t *pcm, void *buffer, snd_pcm_uframes_t size);
"""
PLAYBACK, CAPTURE = 0, 1
ACCESS_RW_INTERLEAVED = 3
NEVER = 1 << 30
"""A start threshold that is never reached: the PCM starts when `start` is called."""


class AlsaError(Aes67Error):
    """A call of libasound failed: `call` and the errno (positive) it returned."""

    def __init__(self, call: str, number: int, words: str) -> None:
        super().__init__(f"{call}: {words}")
        self.call = call
        self.number = number

    @property
    def is_xrun(self) -> bool:
        """Whether the PCM has run dry or over."""
        return self.number == errno.EPIPE


@dataclass(frozen=True)
class Geometry:
    """What a PCM is opened with; frames and Hz."""

    format: str
    rate: int
    channels: int
    period_frames: int
    buffer_frames: int
    sample_bytes: int


class AlsaLibrary:
    """The loaded library; AlsaError when it is not installed."""

    def __init__(self) -> None:
        self.ffi = cffi.FFI()
        self.ffi.cdef(DECLARATIONS)
        try:
            self.lib: Any = self.ffi.dlopen("libasound.so.2")
        except OSError:
            raise AlsaError(
                "libasound.so.2", errno.ENOENT, "not installed; the package is called libasound2"
            ) from None

    def check(self, call: str, value: int) -> int:
        """`value` if it is no error."""
        if value < 0:
            words = self.ffi.string(self.lib.snd_strerror(value)).decode()
            raise AlsaError(call, -value, words)
        return value


class Pcm(AbstractContextManager["Pcm"]):
    """One open PCM with read/write access; every method raises AlsaError."""

    def __init__(self, alsa: AlsaLibrary, device: str, direction: int, geometry: Geometry) -> None:
        self._alsa = alsa
        self._lib = alsa.lib
        self._handle: Any = None
        self.geometry = geometry
        holder = alsa.ffi.new("snd_pcm_t **")
        self._call("snd_pcm_open", holder, os.fsencode(device), direction, 0)
        self._handle = holder[0]
        try:
            self._set_hardware_parameters()
            self._set_software_parameters()
        except BaseException:
            self.close()
            raise

    def _call(self, name: str, *arguments: Any) -> int:
        return self._alsa.check(name, int(getattr(self._lib, name)(*arguments)))

    def _set_hardware_parameters(self) -> None:
        holder = self._alsa.ffi.new("snd_pcm_hw_params_t **")
        self._call("snd_pcm_hw_params_malloc", holder)
        params, pcm, wanted = holder[0], self._handle, self.geometry
        try:
            form = self._call("snd_pcm_format_value", wanted.format.encode())
            self._call("snd_pcm_hw_params_any", pcm, params)
            for name, value in (
                ("access", (ACCESS_RW_INTERLEAVED,)),
                ("format", (form,)),
                ("channels", (wanted.channels,)),
                ("rate", (wanted.rate, 0)),
                ("period_size", (wanted.period_frames, 0)),
                ("buffer_size", (wanted.buffer_frames,)),
            ):
                self._call(f"snd_pcm_hw_params_set_{name}", pcm, params, *value)
            self._call("snd_pcm_hw_params", pcm, params)
        finally:
            self._lib.snd_pcm_hw_params_free(params)

    def _set_software_parameters(self) -> None:
        holder = self._alsa.ffi.new("snd_pcm_sw_params_t **")
        self._call("snd_pcm_sw_params_malloc", holder)
        params, pcm = holder[0], self._handle
        try:
            self._call("snd_pcm_sw_params_current", pcm, params)
            self._call("snd_pcm_sw_params_set_start_threshold", pcm, params, NEVER)
            avail_min = self.geometry.period_frames
            self._call("snd_pcm_sw_params_set_avail_min", pcm, params, avail_min)
            self._call("snd_pcm_sw_params", pcm, params)
        finally:
            self._lib.snd_pcm_sw_params_free(params)

    def prepare(self) -> None:
        """Make it ready to start, also after an xrun."""
        self._call("snd_pcm_prepare", self._handle)

    def start(self) -> None:
        """Start it."""
        self._call("snd_pcm_start", self._handle)

    def drop(self) -> None:
        """Stop it at once."""
        self._call("snd_pcm_drop", self._handle)

    def wait(self, timeout_ms: int = 1000) -> None:
        """Wait until a period can be transferred.

        A blocking `snd_pcm_readi` that finds a part of a period takes it and then waits for a
        *whole* further one, so a program that wants low latency waits first.
        """
        if not self._call("snd_pcm_wait", self._handle, timeout_ms):
            raise AlsaError("snd_pcm_wait", errno.ETIMEDOUT, f"nothing within {timeout_ms} ms")

    def write(self, data: Any, frames: int) -> int:
        """Write interleaved frames (any buffer), blocking; frames written."""
        source = self._alsa.ffi.from_buffer(data)
        return self._call("snd_pcm_writei", self._handle, source, frames)

    def read(self, into: Any, frames: int) -> int:
        """Read interleaved frames into a writable buffer, blocking; frames read."""
        target = self._alsa.ffi.from_buffer(into, require_writable=True)
        return self._call("snd_pcm_readi", self._handle, target, frames)

    def close(self) -> None:
        """Close it; idempotent."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._lib.snd_pcm_close(handle)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
