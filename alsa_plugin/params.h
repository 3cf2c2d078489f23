/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * The parameters of the PCM and of the control device, read from their ALSA configuration.
 */
#ifndef AES67_PARAMS_H
#define AES67_PARAMS_H

#include <alsa/asoundlib.h>
#include <sys/un.h>

#include "aes67_shm.h"

#define PARAMS_PATH_BYTES sizeof(((struct sockaddr_un *)0)->sun_path)
#define PARAMS_NAME_BYTES 256

struct params {
	unsigned int channels; /* CHANNELS: this many, 0: what the application wants */
	unsigned int first; /* FIRST: device channel of channel 0 */
	unsigned int exclusive; /* EXCLUSIVE: refuse when the channels are in use */
	unsigned int grace_ms; /* GRACE: how long to go on without an engine */
	char server[PARAMS_PATH_BYTES]; /* SERVER: the engine's socket */
	char source[PARAMS_NAME_BYTES]; /* SOURCE, SINK: a stream's name, see names.h */
	char sink[PARAMS_NAME_BYTES];
	unsigned int map_count; /* of such a stream whose channels are not in a row, else 0 */
	unsigned int map[AES67_MAX_STREAM_CHANNELS]; /* device channel of each, from `first` */
};

/* Read `conf` and find the socket. 0, -EINVAL with a text that names the field and its range, or
 * -ENODEV when no engine's socket is there. */
int params_read(struct params *params, snd_config_t *conf);

/* Say that connecting to the socket failed with `err`, and what to do about it. */
void params_unreachable(const struct params *params, int err);

#endif
