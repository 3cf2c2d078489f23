/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * ALSA PCM "aes67": an ioplug whose pointer follows the media clock (PTP time).
 *
 * There is no thread and no message while audio runs. The engine and this process share memory: a
 * clock page (CLOCK_MONOTONIC to media time), a ring per playback stream, one bus for all capture.
 * The hardware pointer is the media clock now, minus the frame of position 0; a timerfd armed from
 * the same clock wakes the application; the socket to the engine is the life line.
 *
 * Rules that pcm_ioplug.c imposes and that are easy to break stand as comments where they apply.
 */
#define _GNU_SOURCE
#include "pcm.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "convert.h"
#include "ring.h"

#define HELLO_TIMEOUT_MS 1000
#define SETUP_TIMEOUT_MS 4000 /* a change of the device's rate may come with it */
#define PERIODS_MIN 2
#define BUFFER_MAX_S 2 /* where the channel count is fixed */
#define DESCRIPTORS 2

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

/* alsa-lib's pointers as positions. snd_pcm_reset zeroes both without telling us: the media clock
 * does not stop for that, so position 0 of alsa-lib moves to where we are. */
static void take_pointers(struct pcm *pcm)
{
	const snd_pcm_ioplug_t *io = &pcm->io;

	if (io->appl_ptr == 0 && io->hw_ptr == 0 && pcm->returned > pcm->base) {
		pcm->base = pcm->returned;
		pcm->appl = pcm->base;
	}
	pcm->appl = pcm->base + ring_linear(pcm->appl - pcm->base, io->appl_ptr, pcm->boundary);
}

/* The lock is held, alsa-lib's too. snd_pcm_prepare refuses DISCONNECTED without asking us, so it
 * is final. */
static void report_gone(struct pcm *pcm)
{
	if (pcm->life == PCM_GONE && pcm->io.state != SND_PCM_STATE_DISCONNECTED) {
		snd_pcm_ioplug_set_state(&pcm->io, SND_PCM_STATE_DISCONNECTED);
		pcm->state = SND_PCM_STATE_DISCONNECTED;
	}
}

/*
 * A negative result outside RUNNING would turn any state into XRUN, a lost engine too: that one is
 * told by the state DISCONNECTED and a valid position.
 */
static snd_pcm_sframes_t aes67_pointer(snd_pcm_ioplug_t *io)
{
	struct pcm *pcm = io->private_data;
	int64_t now = motion_now();
	snd_pcm_sframes_t result;

	pthread_mutex_lock(&pcm->lock);
	take_pointers(pcm);
	motion_update(pcm, io->state, now);
	report_gone(pcm);
	result = (snd_pcm_sframes_t)ring_wrapped(pcm->hw - pcm->base, pcm->boundary);
	if (io->state == SND_PCM_STATE_RUNNING && pcm->has_xrun) {
		pcm->state = SND_PCM_STATE_XRUN;
		result = -EPIPE;
	} else if (io->state == SND_PCM_STATE_DRAINING && pcm->is_capture) {
		/* ends the drain; alsa-lib would wait until the buffer is full */
		result = -EPIPE;
	} else {
		pcm->returned = pcm->hw;
	}
	if (!pcm->is_capture && pcm->life != PCM_GONE)
		samples_publish_appl(pcm); /* snd_pcm_rewind and _forward call nothing */
	motion_arm(pcm, now);
	pthread_mutex_unlock(&pcm->lock);
	return result;
}

/* With this callback alsa-lib no longer updates the pointer for snd_pcm_delay. */
static int aes67_delay(snd_pcm_ioplug_t *io, snd_pcm_sframes_t *delayp)
{
	struct pcm *pcm = io->private_data;
	int64_t exact;
	int err = 0;

	pthread_mutex_lock(&pcm->lock);
	take_pointers(pcm);
	motion_update(pcm, io->state, motion_now());
	report_gone(pcm);
	if (io->state == SND_PCM_STATE_RUNNING && pcm->has_xrun)
		snd_pcm_ioplug_set_state(io, SND_PCM_STATE_XRUN);
	exact = io->state == SND_PCM_STATE_RUNNING || io->state == SND_PCM_STATE_DRAINING
			? pcm->exact : pcm->hw;
	if (pcm->is_capture)
		*delayp = exact > pcm->appl ? exact - pcm->appl : 0;
	else
		*delayp = pcm->appl - exact + pcm->delay;
	if (io->state == SND_PCM_STATE_XRUN)
		err = -EPIPE;
	else if (io->state == SND_PCM_STATE_DISCONNECTED)
		err = -ENODEV;
	pthread_mutex_unlock(&pcm->lock);
	return err;
}

/* Interleaved access only, so the first area says where all samples are. */
static char *area_bytes(const struct pcm *pcm, const snd_pcm_channel_area_t *areas,
			snd_pcm_uframes_t offset)
{
	return (char *)areas->addr + areas->first / 8 +
	       offset * (size_t)pcm->channels * pcm->width;
}

/*
 * The first frame is the one at appl_ptr, whatever the offset. For mmap capture this is called at
 * each mmap_begin, for all frames offered, and says nothing about what will be committed: reading
 * changes nothing.
 */
static snd_pcm_sframes_t aes67_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
					snd_pcm_uframes_t offset, snd_pcm_uframes_t size)
{
	struct pcm *pcm = io->private_data;
	char *bytes = area_bytes(pcm, areas, offset);
	snd_pcm_sframes_t result = (snd_pcm_sframes_t)size;
	int64_t position;

	pthread_mutex_lock(&pcm->lock);
	take_pointers(pcm);
	position = pcm->appl;
	pcm->counters.transfers++;
	if (!pcm->is_capture) {
		samples_write(pcm, bytes, position, result);
		pcm->appl = position + result;
		samples_publish_appl(pcm);
	} else if (samples_read(pcm, bytes, position, result) < 0) {
		pcm->has_xrun = true;
		pcm->counters.xruns++;
		snd_pcm_ioplug_set_state(io, SND_PCM_STATE_XRUN);
		pcm->state = SND_PCM_STATE_XRUN;
		result = -EPIPE;
	} else if (io->access == SND_PCM_ACCESS_RW_INTERLEAVED) {
		pcm->appl = position + result;
	}
	motion_arm(pcm, motion_now());
	pthread_mutex_unlock(&pcm->lock);
	return result;
}

/* Only PREPARED gets here; the state becomes RUNNING after it. */
static int aes67_start(snd_pcm_ioplug_t *io)
{
	struct pcm *pcm = io->private_data;
	int64_t now = motion_now();

	pthread_mutex_lock(&pcm->lock);
	take_pointers(pcm);
	pcm->check_socket = true;
	motion_update(pcm, io->state, now);
	report_gone(pcm);
	if (pcm->life != PCM_GONE) {
		motion_start(pcm, now);
		motion_arm(pcm, now);
	}
	pthread_mutex_unlock(&pcm->lock);
	return pcm->life == PCM_GONE ? -ENODEV : 0;
}

/* Also called in SETUP, PREPARED and XRUN, and at the end of a drain from inside the pointer's
 * caller. The descriptor must stay ready: a poll after a drain would block for ever. */
static int aes67_stop(snd_pcm_ioplug_t *io)
{
	struct pcm *pcm = io->private_data;

	pthread_mutex_lock(&pcm->lock);
	motion_stop(pcm);
	pcm->has_xrun = false;
	pcm->state = SND_PCM_STATE_SETUP;
	motion_arm(pcm, motion_now());
	pthread_mutex_unlock(&pcm->lock);
	return 0;
}

static int aes67_pause(snd_pcm_ioplug_t *io, int enable)
{
	struct pcm *pcm = io->private_data;
	int64_t now = motion_now();
	int err = 0;

	pthread_mutex_lock(&pcm->lock);
	take_pointers(pcm);
	motion_update(pcm, io->state, now);
	report_gone(pcm);
	if (pcm->life == PCM_GONE) {
		err = -ENODEV;
	} else if (pcm->has_xrun) {
		snd_pcm_ioplug_set_state(io, SND_PCM_STATE_XRUN);
		pcm->state = SND_PCM_STATE_XRUN;
		err = -EPIPE;
	} else {
		motion_pause(pcm, now, enable);
	}
	motion_arm(pcm, now);
	pthread_mutex_unlock(&pcm->lock);
	return err;
}

/* alsa-lib has zeroed its pointers; the state becomes PREPARED after this. */
static int aes67_prepare(snd_pcm_ioplug_t *io)
{
	struct pcm *pcm = io->private_data;
	int64_t now = motion_now();

	pthread_mutex_lock(&pcm->lock);
	pcm->check_socket = true;
	motion_rewind(pcm);
	motion_update(pcm, SND_PCM_STATE_PREPARED, now);
	report_gone(pcm);
	motion_arm(pcm, now);
	pthread_mutex_unlock(&pcm->lock);
	return pcm->life == PCM_GONE ? -ENODEV : 0;
}

static int connect_engine(struct link *link, const struct params *params,
			  const struct aes67_msg_hello *hello)
{
	int err = link_connect(link, params->server, hello);

	if (err == 0)
		err = link_wait(link, LINK_READY, HELLO_TIMEOUT_MS);
	if (err == 0)
		return 0;
	link_close(link);
	if (err == -ETIMEDOUT)
		SNDERR("aes67: the engine at %s does not answer", params->server);
	else if (err == -EPROTO)
		SNDERR("aes67: the engine at %s speaks another version of the protocol than %d",
		       params->server, AES67_VERSION_MAJOR);
	else
		SNDERR("aes67: cannot reach the engine at %s: %s", params->server,
		       snd_strerror(err));
	return err == -EACCES || err == -EPERM || err == -EBUSY || err == -EINVAL ? err : -ENODEV;
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
	err = connect_engine(&pcm->next, &pcm->params, &pcm->hello);
	if (err < 0)
		return err;
	if (memcmp(pcm->next.caps.rates, pcm->link.caps.rates, sizeof(pcm->next.caps.rates)) ||
	    pcm->next.caps.bus_channels != pcm->link.caps.bus_channels)
		return -ENODEV;
	pcm->life = PCM_ATTACHED;
	pcm->attached_ns = motion_now();
	return link_replace(&pcm->link, &pcm->next);
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
		SNDERR("aes67: the engine refuses %u channels from %u at %u Hz: %s", io->channels,
		       pcm->params.first, io->rate, snd_strerror(err));
	return err;
}

/* Room for captured frames that the bus will not keep; touched only when needed. */
static int allocate_stage(struct pcm *pcm)
{
	if (!pcm->is_capture)
		return 0;
	pcm->stage_frames = ring_power_of_two(pcm->buffer);
	pcm->stage = calloc((size_t)(pcm->stage_frames * pcm->channels), sizeof(int32_t));
	pcm->is_staging = pcm->buffer > samples_bus_reach(pcm) * 9 / 10;
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
static int aes67_hw_params(snd_pcm_ioplug_t *io, snd_pcm_hw_params_t *params)
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
		err = allocate_stage(pcm);
	if (err == 0) {
		pcm->is_configured = true;
		pcm->run_seq = 0;
		pcm->state = SND_PCM_STATE_SETUP;
		clock_read(link_clock(&pcm->link), &pcm->clock);
		motion_rewind(pcm);
	} else {
		release_stream(pcm);
	}
	pthread_mutex_unlock(&pcm->lock);
	return err;
}

/* May come more than once; the state keeps its old value. */
static int aes67_hw_free(snd_pcm_ioplug_t *io)
{
	struct pcm *pcm = io->private_data;

	pthread_mutex_lock(&pcm->lock);
	if (pcm->is_configured)
		release_stream(pcm);
	pthread_mutex_unlock(&pcm->lock);
	return 0;
}

static int aes67_sw_params(snd_pcm_ioplug_t *io, snd_pcm_sw_params_t *params)
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

static int aes67_poll_descriptors_count(snd_pcm_ioplug_t *io)
{
	(void)io;
	return DESCRIPTORS;
}

/* The numbers never change while the handle lives: a re-attach keeps the socket's. */
static int aes67_poll_descriptors(snd_pcm_ioplug_t *io, struct pollfd *pfd, unsigned int space)
{
	struct pcm *pcm = io->private_data;

	if (space < DESCRIPTORS)
		return -EINVAL;
	pfd[0] = (struct pollfd){ .fd = pcm->timer_fd, .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = pcm->link.fd, .events = POLLIN };
	return DESCRIPTORS;
}

static unsigned short ready_events(const struct pcm *pcm)
{
	unsigned short direction = pcm->is_capture ? POLLIN : POLLOUT;

	switch (pcm->state) {
	case SND_PCM_STATE_XRUN:
	case SND_PCM_STATE_DISCONNECTED:
		return direction | POLLERR;
	default:
		return direction;
	}
}

/*
 * Called without alsa-lib's lock while other threads may be writing, so the state is brought up to
 * date through a function that takes it. The descriptors only say POLLIN; what the application
 * waits for is POLLOUT on playback.
 */
static int aes67_poll_revents(snd_pcm_ioplug_t *io, struct pollfd *pfd, unsigned int nfds,
			      unsigned short *revents)
{
	struct pcm *pcm = io->private_data;
	bool is_configured;

	if (nfds != DESCRIPTORS)
		return -EINVAL;
	pthread_mutex_lock(&pcm->lock);
	if (pfd[1].revents)
		pcm->check_socket = true;
	is_configured = pcm->is_configured;
	pthread_mutex_unlock(&pcm->lock);
	if (is_configured)
		snd_pcm_avail_update(io->pcm);
	pthread_mutex_lock(&pcm->lock);
	*revents = motion_is_ready(pcm) ? ready_events(pcm) : 0;
	pcm->counters.wakes++;
	pcm->counters.spurious += !*revents;
	pthread_mutex_unlock(&pcm->lock);
	return 0;
}

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

static snd_pcm_chmap_t *aes67_get_chmap(snd_pcm_ioplug_t *io)
{
	return make_map(io->channels);
}

static unsigned int channels_limit(const struct pcm *pcm)
{
	unsigned int max = pcm->link.caps.channels_max, bus = pcm->link.caps.bus_channels;
	unsigned int left = bus > pcm->params.first ? bus - pcm->params.first : 0;

	return left < max ? left : max;
}

/* A list that omits a possible channel count would break plug and PulseAudio. */
static snd_pcm_chmap_query_t **aes67_query_chmaps(snd_pcm_ioplug_t *io)
{
	struct pcm *pcm = io->private_data;
	unsigned int fixed = pcm->params.channels;
	unsigned int low = fixed ? fixed : pcm->link.caps.channels_min;
	unsigned int high = fixed ? fixed : channels_limit(pcm);
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

static void aes67_dump(snd_pcm_ioplug_t *io, snd_output_t *out)
{
	static const char *const lives[] = { "attached", "orphan", "gone" };
	struct pcm *pcm = io->private_data;
	struct pcm_counters n;

	pthread_mutex_lock(&pcm->lock);
	n = pcm->counters;
	snd_output_printf(out, "%s\n", io->name);
	snd_output_printf(out, "  server %s (%s), first channel %u, grace %u ms\n",
			  pcm->params.server, lives[pcm->life], pcm->params.first,
			  pcm->params.grace_ms);
	snd_output_printf(out, "  anchor %lld, epoch %lld, clock state %lld\n",
			  (long long)pcm->anchor, (long long)pcm->epoch,
			  (long long)pcm->clock.state);
	snd_output_printf(out,
			  "  wakes %llu, spurious %llu, arms %llu, transfers %llu, xruns %llu, "
			  "attaches %llu\n",
			  (unsigned long long)n.wakes, (unsigned long long)n.spurious,
			  (unsigned long long)n.arms, (unsigned long long)n.transfers,
			  (unsigned long long)n.xruns, (unsigned long long)n.attaches);
	pthread_mutex_unlock(&pcm->lock);
	if (pcm->is_configured) {
		snd_output_printf(out, "Its setup is:\n");
		snd_pcm_dump_setup(io->pcm, out);
	}
}

static void destroy(struct pcm *pcm)
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

/* Also called by snd_pcm_ioplug_delete, so an error after snd_pcm_ioplug_create frees once. */
static int aes67_close(snd_pcm_ioplug_t *io)
{
	destroy(io->private_data);
	return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {
	.start = aes67_start,
	.stop = aes67_stop,
	.pointer = aes67_pointer,
	.transfer = aes67_transfer,
	.close = aes67_close,
	.hw_params = aes67_hw_params,
	.hw_free = aes67_hw_free,
	.sw_params = aes67_sw_params,
	.prepare = aes67_prepare,
	/* no drain: alsa-lib then waits on our descriptors itself, and honours non-blocking mode */
	.pause = aes67_pause,
	.poll_descriptors_count = aes67_poll_descriptors_count,
	.poll_descriptors = aes67_poll_descriptors,
	.poll_revents = aes67_poll_revents,
	.dump = aes67_dump,
	.delay = aes67_delay,
	.query_chmaps = aes67_query_chmaps,
	.get_chmap = aes67_get_chmap,
};

/*
 * Limits can only be given in bytes and there is no rule between parameters, so they admit all
 * that the smallest frame allows: every configuration they admit works.
 */
static int set_sizes(struct pcm *pcm, unsigned int low, unsigned int high)
{
	const struct aes67_msg_caps *caps = &pcm->link.caps;
	unsigned int period = caps->period_frames_min * low * 2;
	int64_t buffer = caps->buffer_bytes_max;
	uint32_t rate = caps->rates[0];
	int err;

	for (uint32_t i = 1; i < caps->rate_count; i++)
		rate = caps->rates[i] > rate ? caps->rates[i] : rate;
	if (low == high && buffer > (int64_t)BUFFER_MAX_S * rate * low * 4)
		buffer = (int64_t)BUFFER_MAX_S * rate * low * 4;
	if (buffer < PERIODS_MIN * (int64_t)period)
		buffer = PERIODS_MIN * (int64_t)period;
	err = snd_pcm_ioplug_set_param_minmax(&pcm->io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, period,
					      (unsigned int)(buffer / PERIODS_MIN));
	if (err == 0)
		err = snd_pcm_ioplug_set_param_minmax(&pcm->io, SND_PCM_IOPLUG_HW_BUFFER_BYTES,
						      period * PERIODS_MIN, (unsigned int)buffer);
	if (err == 0)
		err = snd_pcm_ioplug_set_param_minmax(&pcm->io, SND_PCM_IOPLUG_HW_PERIODS,
						      PERIODS_MIN,
						      (unsigned int)buffer / period);
	return err;
}

static int set_constraints(struct pcm *pcm)
{
	static const unsigned int accesses[] = { SND_PCM_ACCESS_RW_INTERLEAVED,
						 SND_PCM_ACCESS_MMAP_INTERLEAVED };
	const struct aes67_msg_caps *caps = &pcm->link.caps;
	unsigned int list[FORMAT_COUNT], fixed = pcm->params.channels;
	unsigned int low = fixed ? fixed : caps->channels_min;
	unsigned int high = fixed ? fixed : channels_limit(pcm);
	int err;

	if (low < caps->channels_min || high > channels_limit(pcm) || low > high) {
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
	return err == 0 ? set_sizes(pcm, low, high) : err;
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
		err = connect_engine(&pcm->link, &pcm->params, &pcm->hello);
	if (err == 0) {
		pcm->attached_ns = motion_now();
		pcm->io.version = SND_PCM_IOPLUG_VERSION;
		pcm->io.name = "AES67 network audio";
		pcm->io.flags = SND_PCM_IOPLUG_FLAG_BOUNDARY_WA;
		pcm->io.callback = &callbacks;
		pcm->io.private_data = pcm;
		err = snd_pcm_ioplug_create(&pcm->io, name, stream, mode);
	}
	if (err < 0) {
		destroy(pcm);
		return err;
	}
	/* alsa-lib does not take it from the open mode, and would then block in drain */
	pcm->io.nonblock = !!(mode & SND_PCM_NONBLOCK);
	err = set_constraints(pcm);
	if (err < 0)
		snd_pcm_ioplug_delete(&pcm->io);
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
	if (err < 0)
		return err;
	pcm = create(&params, name, stream);
	if (!pcm)
		return -ENOMEM;
	err = open_pcm(pcm, name, stream, mode);
	if (err < 0)
		return err;
	*pcmp = pcm->io.pcm;
	return 0;
}

__attribute__((visibility("default"))) SND_PCM_PLUGIN_SYMBOL(aes67);
