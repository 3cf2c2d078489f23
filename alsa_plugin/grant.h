/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#ifndef AES67_GRANT_H
#define AES67_GRANT_H

#include "link.h"

/* Accept CAPS with the clock page, or STREAM with a ring: 0 and the next stage, or -errno. */
int grant_caps(struct link *link, const struct aes67_msg_caps *caps, int fd);
int grant_stream(struct link *link, const struct aes67_msg_stream *stream, int fd);

void grant_unmap(struct link_memory *memory);

#endif
