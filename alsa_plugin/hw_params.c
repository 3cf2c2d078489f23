/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * Hardware and software parameters: what the device offers, and what is done when an application
 * has chosen. Here, and only here, the application's thread may wait for the engine.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "convert.h"
#include "pcm.h"
#include "ring.h"

#define SETUP_TIMEOUT_MS 4000 /* a change of the device's rate may come with it */
#define CLOCK_TRIES_MS 100
#define PERIODS_MIN 2

struct format {
	snd_pcm_format_t alsa;
	unsigned int wire;
};

static const struct format formats[] = {
	{ SND_PCM_FORMAT_S16_LE, AES67_FORMAT_S16_LE },
	{ SND_PCM_FORMAT_S24_3LE, AES67_FORMAT_S24_3LE },
	{ SND_PCM_FORMAT_S24_LE, AES67_FORMAT_S24_LE },
	{ SND_PCM_FORMAT_S32_LE, AES67_FORMAT_S32_LE },
	{ SND_PCM_FORMAT_FLOAT_LE, AES67_FORMAT_FLOAT_LE },
};

#define FORMAT_COUNT (sizeof(formats) / sizeof(*formats))

unsigned int pcm_channels_limit(const struct pcm *pcm)
{
	unsigned int max = pcm->link.caps.channels_max, bus = pcm->link.caps.bus_channels;
	unsigned int left = bus > pcm->params.first ? bus - pcm->params.first : 0;

	return left < max ? left : max;
}

/*
 * Limits can only be given in bytes and there is no rule between parameters, so they admit all
 * that the smallest frame allows: every configuration they admit works.
 */
static int set_sizes(struct pcm *pcm, unsigned int low)
{
	const struct aes67_msg_caps *caps = &pcm->link.caps;
	unsigned int period = caps->period_frames_min * low * 2;
	int64_t buffer = caps->buffer_bytes_max;
	int err;

	if (buffer < PERIODS_MIN * (int64_t)period)
		buffer = PERIODS_MIN * (int64_t)period;
	err = snd_pcm_ioplug_set_param_minmax(&pcm->io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, period,
					      (unsigned int)(buffer / PERIODS_MIN));
	if (err == 0)
		err = snd_pcm_ioplug_set_param_minmax(&pcm->io, SND_PCM_IOPLUG_HW_BUFFER_BYTES,
						      period * PERIODS_MIN, (unsigned int)buffer);
	if (err == 0)
		err = snd_pcm_ioplug_set_param_minmax(&pcm->io, SND_PCM_IOPLUG_HW_PERIODS,
						      PERIODS_MIN, (unsigned int)buffer / period);
	return err;
}

int pcm_set_constraints(struct pcm *pcm)
{
	static const unsigned int accesses[] = { SND_PCM_ACCESS_RW_INTERLEAVED,
						 SND_PCM_ACCESS_MMAP_INTERLEAVED };
	const struct aes67_msg_caps *caps = &pcm->link.caps;
	unsigned int list[FORMAT_COUNT], fixed = pcm->params.channels;
	unsigned int low = fixed ? fixed : caps->channels_min;
	unsigned int high = fixed ? fixed : pcm_channels_limit(pcm);
	int err;

	if (low < caps->channels_min || high > pcm_channels_limit(pcm) || low > high) {
		SNDERR("aes67: %u channels from device channel %u: the device has %u", low,
		       pcm->params.first, caps->bus_channels);
		return -EINVAL;
	}
	for (size_t i = 0; i < FORMAT_COUNT; i++)
		list[i] = (unsigned int)formats[i].alsa;
	err = snd_pcm_ioplug_set_param_list(&pcm->io, SND_PCM_IOPLUG_HW_ACCESS, 2, accesses);
	if (err == 0)
		err = snd_pcm_ioplug_set_param_list(&pcm->io, SND_PCM_IOPLUG_HW_FORMAT,
						    FORMAT_COUNT, list);
	if (err == 0)
		err = snd_pcm_ioplug_set_param_minmax(&pcm->io, SND_PCM_IOPLUG_HW_CHANNELS, low,
						      high);
	if (err == 0)
		err = snd_pcm_ioplug_set_param_list(&pcm->io, SND_PCM_IOPLUG_HW_RATE,
						    caps->rate_count, caps->rates);
	return err == 0 ? set_sizes(pcm, low) : err;
}

/* At hw_params blocking is allowed, so a lost engine is looked for here and now. */
static int ensure_engine(struct pcm *pcm)
{
	unsigned int events;
	int err;

	if (pcm->life == PCM_GONE)
		return -ENODEV;
	if (pcm->life == PCM_ATTACHED) {
		events = link_events(&pcm->link);
		if (events & LINK_EVENT_RECONFIGURED)
			return -ENODEV;
		if (!(events & LINK_EVENT_GONE))
			return 0;
	}
	link_close(&pcm->next);
	err = pcm_connect(&pcm->next, &pcm->params, &pcm->hello);
	if (err < 0)
		return err;
	if (memcmp(pcm->next.caps.rates, pcm->link.caps.rates, sizeof(pcm->next.caps.rates)) ||
	    pcm->next.caps.bus_channels != pcm->link.caps.bus_channels)
		return -ENODEV;
	pcm->life = PCM_ATTACHED;
	pcm->attached_ns = motion_now();
	return link_replace(&pcm->link, &pcm->next);
}

/* A clock page whose writer was interrupted in the middle is read again for a while. */
static int read_clock(struct pcm *pcm)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < CLOCK_TRIES_MS; i++) {
		if (clock_read(link_clock(&pcm->link), &pcm->clock))
			return 0;
		nanosleep(&pause, NULL);
	}
	SNDERR("aes67: the clock of the engine at %s cannot be read", pcm->params.server);
	return -ENODEV;
}

static int set_up_stream(struct pcm *pcm)
{
	const snd_pcm_ioplug_t *io = &pcm->io;
	struct aes67_msg_setup setup = {
		.rate = io->rate,
		.channels = io->channels,
		.format = pcm->format,
		.period_frames = (uint32_t)io->period_size,
		.buffer_frames = (int64_t)io->buffer_size,
	};
	int err = link_setup(&pcm->link, &setup);

	if (err == 0)
		err = link_wait(&pcm->link, LINK_UP, SETUP_TIMEOUT_MS);
	if (err < 0)
		SNDERR("aes67: the engine refuses %u channels from %u at %u Hz: %s%s", io->channels,
		       pcm->params.first, io->rate, snd_strerror(err),
		       err == -EBUSY ? " (in use exclusively or at another rate; else the "
				       "daemon's log says why)"
				     : "");
	return err;
}

/* For capture: room for frames that the bus will not keep, touched only when needed. */
static int prepare_capture(struct pcm *pcm)
{
	if (!pcm->is_capture)
		return 0;
	samples_prefault(pcm);
	pcm->stage_frames = ring_power_of_two(pcm->buffer);
	pcm->stage = calloc((size_t)(pcm->stage_frames * pcm->channels), sizeof(int32_t));
	pcm->is_staging = pcm->buffer > samples_bus_reach(pcm) * 19 / 20;
	return pcm->stage ? 0 : -ENOMEM;
}

static void take_configuration(struct pcm *pcm)
{
	const snd_pcm_ioplug_t *io = &pcm->io;

	for (size_t i = 0; i < FORMAT_COUNT; i++)
		if (formats[i].alsa == io->format)
			pcm->format = formats[i].wire;
	pcm->width = convert_width(pcm->format);
	pcm->rate = io->rate;
	pcm->channels = io->channels;
	pcm->buffer = (int64_t)io->buffer_size;
	pcm->quantum = pcm->rate * pcm->link.caps.quantum_ns / NS_PER_S;
	if (pcm->quantum < 1)
		pcm->quantum = 1;
	pcm->delay = pcm->is_capture ? 0 : clock_frame(pcm->link.caps.delay_ns, pcm->rate);
	/* until sw_params, which alsa-lib calls next */
	pcm->avail_min = (int64_t)io->period_size;
	pcm->boundary = io->buffer_size;
	while (pcm->boundary * 2 <= (uint64_t)LONG_MAX - io->buffer_size)
		pcm->boundary *= 2;
	pcm->stop_threshold = io->buffer_size;
}

static void release_stream(struct pcm *pcm)
{
	motion_stop(pcm);
	link_close(&pcm->next);
	link_free(&pcm->link);
	free(pcm->stage);
	pcm->stage = NULL;
	pcm->is_configured = false;
}

/* When it fails alsa-lib does not call hw_free. */
int pcm_hw_params(snd_pcm_ioplug_t *io, snd_pcm_hw_params_t *params)
{
	struct pcm *pcm = io->private_data;
	int err;

	(void)params;
	pthread_mutex_lock(&pcm->lock);
	if (pcm->is_configured)
		release_stream(pcm);
	err = ensure_engine(pcm);
	if (err == 0) {
		take_configuration(pcm);
		err = set_up_stream(pcm);
	}
	if (err == 0)
		err = read_clock(pcm);
	if (err == 0)
		err = prepare_capture(pcm);
	if (err == 0) {
		pcm->is_configured = true;
		pcm->run_seq = 0;
		pcm->state = SND_PCM_STATE_SETUP;
		motion_rewind(pcm);
	} else {
		release_stream(pcm);
	}
	pthread_mutex_unlock(&pcm->lock);
	return err;
}

/* May come more than once; the state keeps its old value. */
int pcm_hw_free(snd_pcm_ioplug_t *io)
{
	struct pcm *pcm = io->private_data;

	pthread_mutex_lock(&pcm->lock);
	if (pcm->is_configured)
		release_stream(pcm);
	pthread_mutex_unlock(&pcm->lock);
	return 0;
}

int pcm_sw_params(snd_pcm_ioplug_t *io, snd_pcm_sw_params_t *params)
{
	struct pcm *pcm = io->private_data;
	snd_pcm_uframes_t boundary, avail_min, stop_threshold;

	snd_pcm_sw_params_get_boundary(params, &boundary);
	snd_pcm_sw_params_get_avail_min(params, &avail_min);
	snd_pcm_sw_params_get_stop_threshold(params, &stop_threshold);
	pthread_mutex_lock(&pcm->lock);
	pcm->boundary = boundary;
	pcm->avail_min = avail_min > 0 ? (int64_t)avail_min : 1;
	pcm->stop_threshold = stop_threshold;
	motion_arm(pcm, motion_now());
	pthread_mutex_unlock(&pcm->lock);
	return 0;
}
