/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * The link to the engine: one connection on its SOCK_SEQPACKET socket, the messages on it, and the
 * memory that came with them. No ALSA in here, and no clock is read: instants are arguments.
 *
 * A session is built up by link_step without ever blocking (a re-attach happens inside an
 * application's real-time thread); link_wait is the same with a poll around it, for open and
 * hw_params, where blocking is expected. What comes from the socket is checked before use.
 */
#ifndef AES67_LINK_H
#define AES67_LINK_H

#include <stdbool.h>

#include "aes67_shm.h"

enum link_stage {
	LINK_CLOSED,
	LINK_HELLO, /* connected, waiting for CAPS */
	LINK_READY, /* CAPS known, clock page mapped */
	LINK_SETUP, /* waiting for STREAM */
	LINK_UP, /* memory mapped */
};

struct link_memory {
	void *address; /* NULL: none */
	size_t bytes;
};

struct link {
	int fd; /* -1: none */
	enum link_stage stage;
	uint32_t serial;
	struct aes67_msg_caps caps;
	struct aes67_msg_setup setup; /* as sent */
	bool is_capture;
	uint32_t first; /* device channel of channel 0 */
	struct link_memory clock; /* struct aes67_clock_page, read-only */
	struct link_memory memory; /* struct aes67_stream_header or aes67_bus_header, and samples */
	int64_t ring_frames; /* of the ring in `memory`; our copies: the page is another's */
	int64_t ring_channels;
	unsigned int pending; /* LINK_EVENT_... met while waiting for a reply */
};

/* What came unasked. */
enum {
	LINK_EVENT_GONE = 1, /* the engine closed the connection, or broke the protocol */
	LINK_EVENT_RECONFIGURED = 2,
	LINK_EVENT_CONTROL = 4,
};

void link_init(struct link *link);

/* Connect and send HELLO: 0 or -errno. */
int link_connect(struct link *link, const char *path, const struct aes67_msg_hello *hello);

/* Send SETUP in stage READY or UP (what was mapped is given back): 0 or -errno. */
int link_setup(struct link *link, const struct aes67_msg_setup *setup);

/* Take what has arrived: 0 (look at `stage`) or -errno, which ends the session. */
int link_step(struct link *link);

/* link_step until `stage` is reached: 0, -errno, -ETIMEDOUT after timeout_ms. */
int link_wait(struct link *link, enum link_stage stage, int timeout_ms);

/* End the stream, keep the connection. */
void link_free(struct link *link);

/* Drain events without blocking: a set of LINK_EVENT_... */
unsigned int link_events(struct link *link);

/* One control request and its reply: 0 or -errno, the value in *value. `events` collects what
 * came in between. */
int link_control(struct link *link, uint32_t type, uint32_t element, int64_t *value,
		 unsigned int *events);

void link_close(struct link *link);

/* The engine is gone: put a descriptor that is never ready under the number an application may be
 * polling. The memory stays mapped. */
void link_orphan(struct link *link, int idle_fd);

/* Put the new session in the place of the old one, under the old descriptor number, which an
 * application may be polling. The old memory is given back. */
int link_replace(struct link *old, struct link *new);

static inline const struct aes67_clock_page *link_clock(const struct link *link)
{
	return link->clock.address;
}

static inline struct aes67_stream_header *link_stream(const struct link *link)
{
	return link->memory.address;
}

static inline int32_t *link_samples(const struct link *link)
{
	return (int32_t *)((char *)link->memory.address + AES67_PAGE_BYTES);
}

#endif
