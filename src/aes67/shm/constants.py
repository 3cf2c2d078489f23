"""Numbers of the shared-memory protocol: limits, states, codes. `shm.layout` gives them out."""

CACHE_LINE = 64
PAGE_BYTES = 4096
NAME_BYTES = 64
"""Bytes of a NUL-padded UTF-8 name."""

CLOCK_MAGIC = 0x43373641
STREAM_MAGIC = 0x53373641
BUS_MAGIC = 0x42373641
MESSAGE_MAGIC = 0x4D373641
TELEMETRY_MAGIC = 0x54373641
VERSION_MAJOR = 1
VERSION_MINOR = 0

MAX_SOURCES = 64
MAX_SINKS = 64
MAX_LEGS = 2
"""ST 2022-7 legs of a stream."""
MAX_STREAM_CHANNELS = 64
MAX_PCMS = 128
"""Playback PCMs open at once."""
MAX_DEVICE_CHANNELS = 1024
MAX_SOCKETS = 16
"""Media sockets, one per (interface, port)."""
MAX_RATES = 8
BUS_REACH_PERMILLE = 530
"""How far behind `bus_done` a client may read, in 1/1000 s: ALSA's usual buffer, and some."""

RATE_FRACTION_BITS = 40
"""`rate_q40` is (d target / d reference - 1) in units of 2^-40 (0.9e-12)."""

# clock states, in the clock page and in telemetry
CLOCK_UNLOCKED = 0
CLOCK_LOCKING = 1
CLOCK_LOCKED = 2
CLOCK_HOLDOVER = 3

# directions of a PCM
PLAYBACK = 0
CAPTURE = 1

# states a client publishes for its playback stream
RUN_IDLE = 0
RUN_RUNNING = 1
RUN_PAUSED = 2
RUN_DRAINING = 3
"""As RUN_RUNNING, but nothing more will be written: what is not there is not missing."""

# codecs of a stream row
CODEC_L16 = 1
CODEC_L24 = 2
CODEC_AM824 = 3
"""Four big-endian bytes a sample, the 32 bits as they are (`framing: raw`)."""
CODEC_AM824_AES3 = 4
"""SMPTE ST 2110-31: label byte with P C U V F B bits, then the top 24 bits of the sample."""

# timing of a sink
TIMING_DIRECT = 0
TIMING_LATCHED = 1
TIMING_ASYNC = 2

# messages of the ALSA socket
MSG_HELLO = 1
MSG_CAPS = 2
MSG_SETUP = 3
MSG_STREAM = 4
MSG_FREE = 5
MSG_EVENT = 6
MSG_CTL_READ = 7
MSG_CTL_WRITE = 8
MSG_CTL_VALUE = 9

# kinds of MSG_EVENT
EVENT_RECONFIGURED = 1
"""Rate or channel count of the device changed: the PCM must be opened again."""
EVENT_CONTROL = 2
"""A volume or switch changed; read it again."""

# elements of the control device
CTL_PLAYBACK_VOLUME = 0
CTL_PLAYBACK_SWITCH = 1
CTL_CAPTURE_VOLUME = 2
CTL_CAPTURE_SWITCH = 3
CTL_PTP_LOCKED = 4
CTL_COUNT = 5
CTL_VOLUME_MIN_DB = -99
CTL_VOLUME_MAX_DB = 0
GAIN_FRACTION_BITS = 30
"""Gains in the telemetry and engine are int64 with unity at 2^30."""

FORMATS = ("S16_LE", "S24_3LE", "S24_LE", "S32_LE", "FLOAT_LE")
"""Sample formats the raw device takes; a wire number is the index in this tuple."""
