/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * Channel maps: mono, stereo, else unknown positions, since what the channels of a network are is
 * not for us to say.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "pcm.h"

static snd_pcm_chmap_t *make_map(unsigned int channels)
{
	snd_pcm_chmap_t *map = calloc(1, sizeof(*map) + channels * sizeof(map->pos[0]));

	if (!map)
		return NULL;
	map->channels = channels;
	for (unsigned int c = 0; c < channels; c++)
		map->pos[c] = SND_CHMAP_UNKNOWN;
	if (channels == 1) {
		map->pos[0] = SND_CHMAP_MONO;
	} else if (channels == 2) {
		map->pos[0] = SND_CHMAP_FL;
		map->pos[1] = SND_CHMAP_FR;
	}
	return map;
}

snd_pcm_chmap_t *pcm_get_chmap(snd_pcm_ioplug_t *io)
{
	return make_map(io->channels);
}

/* A list that omits a possible channel count would break plug and PulseAudio. */
snd_pcm_chmap_query_t **pcm_query_chmaps(snd_pcm_ioplug_t *io)
{
	struct pcm *pcm = io->private_data;
	unsigned int fixed = pcm->params.channels;
	unsigned int low = fixed ? fixed : pcm->link.caps.channels_min;
	unsigned int high = fixed ? fixed : pcm_channels_limit(pcm);
	snd_pcm_chmap_query_t **maps = calloc(high - low + 2, sizeof(*maps));

	for (unsigned int n = low; maps && n <= high; n++) {
		snd_pcm_chmap_query_t *query =
			calloc(1, sizeof(*query) + n * sizeof(query->map.pos[0]));
		snd_pcm_chmap_t *map = make_map(n);

		maps[n - low] = query;
		if (!query || !map) {
			free(map);
			snd_pcm_free_chmaps(maps);
			return NULL;
		}
		query->type = SND_CHMAP_TYPE_FIXED;
		memcpy(&query->map, map, sizeof(*map) + n * sizeof(map->pos[0]));
		free(map);
	}
	return maps;
}
