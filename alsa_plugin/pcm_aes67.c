/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * ALSA PCM "aes67": an ioplug whose pointer follows the media clock (PTP time).
 *
 * There is no thread and no message while audio runs. The engine and this process share memory: a
 * clock page (CLOCK_MONOTONIC to media time), a ring per playback stream, one bus for all capture.
 * The hardware pointer is the media clock now, minus the frame of position 0; a timerfd armed from
 * the same clock wakes the application; the socket to the engine is the life line.
 */
#define _GNU_SOURCE
#include "names.h"
#include "pcm.h"

#include <alsa/pcm_plugin.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define HELLO_TIMEOUT_MS 1000

/* Say why the engine was not reached or did not take us. */
static void complain(const struct params *params, bool is_connected, int err)
{
	if (!is_connected)
		params_unreachable(params, err);
	else if (err == -ETIMEDOUT)
		SNDERR("aes67: the engine at %s does not answer", params->server);
	else if (err == -EPROTO || err == -EPROTONOSUPPORT)
		SNDERR("aes67: the engine at %s speaks another version of the protocol than %d",
		       params->server, AES67_VERSION_MAJOR);
	else if (err == -EBUSY)
		SNDERR("aes67: the channels from %u on are in use", params->first);
	else if (err == -EINVAL)
		SNDERR("aes67: the device has no %u channels from device channel %u",
		       params->channels ? params->channels : 1, params->first);
	else
		SNDERR("aes67: the engine at %s refuses: %s", params->server, snd_strerror(err));
}

int pcm_connect(struct link *link, const struct params *params, const struct aes67_msg_hello *hello)
{
	int err = link_connect(link, params->server, hello);
	bool is_connected = err == 0;

	if (is_connected)
		err = link_wait(link, LINK_READY, HELLO_TIMEOUT_MS);
	if (err == 0)
		return 0;
	link_close(link);
	complain(params, is_connected, err);
	return err == -EACCES || err == -EPERM || err == -EBUSY || err == -EINVAL ? err : -ENODEV;
}

void pcm_destroy(struct pcm *pcm)
{
	link_close(&pcm->next);
	link_close(&pcm->link);
	if (pcm->timer_fd >= 0)
		close(pcm->timer_fd);
	if (pcm->idle_fd >= 0)
		close(pcm->idle_fd);
	free(pcm->stage);
	pthread_mutex_destroy(&pcm->lock);
	free(pcm);
}

static void fill_hello(struct pcm *pcm, const char *name)
{
	struct aes67_msg_hello *hello = &pcm->hello;

	hello->direction = pcm->is_capture ? AES67_CAPTURE : AES67_PLAYBACK;
	hello->first = pcm->params.first;
	hello->channels = pcm->params.channels;
	hello->exclusive = pcm->params.exclusive;
	hello->pid = (uint32_t)getpid();
	strncpy((char *)hello->device, name ? name : "", sizeof(hello->device) - 1);
	strncpy((char *)hello->application, program_invocation_short_name,
		sizeof(hello->application) - 1);
}

static struct pcm *create(const struct params *params, const char *name, snd_pcm_stream_t stream)
{
	struct pcm *pcm = calloc(1, sizeof(*pcm));

	if (!pcm)
		return NULL;
	pcm->params = *params;
	pcm->is_capture = stream == SND_PCM_STREAM_CAPTURE;
	pthread_mutex_init(&pcm->lock, NULL);
	link_init(&pcm->link);
	link_init(&pcm->next);
	pcm->run = motion_now(); /* run numbers never repeat */
	pcm->quantum = 1;
	pcm->boundary = 1 << 30; /* positions are asked for before hw_params too */
	pcm->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	pcm->idle_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fill_hello(pcm, name);
	return pcm;
}

static int open_pcm(struct pcm *pcm, const char *name, snd_pcm_stream_t stream, int mode)
{
	int err;

	if (pcm->timer_fd < 0 || pcm->idle_fd < 0)
		err = -errno;
	else
		err = pcm_connect(&pcm->link, &pcm->params, &pcm->hello);
	if (err == 0) {
		pcm->attached_ns = motion_now();
		pcm->io.version = SND_PCM_IOPLUG_VERSION;
		pcm->io.name = "AES67 network audio";
		pcm->io.flags = SND_PCM_IOPLUG_FLAG_BOUNDARY_WA;
		pcm->io.callback = &pcm_callbacks;
		pcm->io.private_data = pcm;
		err = snd_pcm_ioplug_create(&pcm->io, name, stream, mode);
	}
	if (err < 0) {
		pcm_destroy(pcm);
		return err;
	}
	/* alsa-lib does not take it from the open mode, and would then block in drain */
	pcm->io.nonblock = !!(mode & SND_PCM_NONBLOCK);
	err = pcm_set_constraints(pcm);
	if (err < 0)
		snd_pcm_ioplug_delete(&pcm->io);
	return err;
}

/*
 * Channels that are not in a row: the PCM spans all between them, and alsa-lib's route over it
 * picks. Samples pass unchanged; channels nobody picks are silence, which adds nothing.
 */
static int pick_channels(snd_pcm_t **pcm, const char *name, const struct params *params)
{
	snd_pcm_route_ttable_entry_t *table;
	snd_pcm_t *slave = *pcm;
	int err;

	table = calloc((size_t)params->map_count * params->channels, sizeof(*table));
	if (!table) {
		snd_pcm_close(slave);
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < params->map_count; i++)
		table[i * params->channels + params->map[i]] = SND_PCM_PLUGIN_ROUTE_FULL;
	err = snd_pcm_route_open(pcm, name, SND_PCM_FORMAT_UNKNOWN, (int)params->channels, table,
				 params->channels, params->map_count, params->channels, slave, 1);
	free(table);
	if (err < 0)
		snd_pcm_close(slave);
	return err;
}

/* The entry and its version symbol are all that the library exports. */
__attribute__((visibility("default"))) SND_PCM_PLUGIN_DEFINE_FUNC(aes67)
{
	struct params params;
	struct pcm *pcm;
	int err;

	(void)root;
	err = params_read(&params, conf);
	if (err == 0)
		err = names_resolve(&params, stream == SND_PCM_STREAM_CAPTURE);
	if (err < 0)
		return err;
	pcm = create(&params, name, stream);
	if (!pcm)
		return -ENOMEM;
	err = open_pcm(pcm, name, stream, mode);
	if (err < 0)
		return err;
	*pcmp = pcm->io.pcm;
	return params.map_count ? pick_channels(pcmp, name, &params) : 0;
}

__attribute__((visibility("default"))) SND_PCM_PLUGIN_SYMBOL(aes67);
