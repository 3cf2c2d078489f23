/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * What alsa-lib calls while a PCM is open. pcm_ioplug.c imposes rules that are easy to break; they
 * stand as comments where they apply.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>

#include "pcm.h"
#include "ring.h"

#define DESCRIPTORS 2

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

/* alsa-lib calls some of these after hw_free too, with the state it had before. */
static int usable(const struct pcm *pcm)
{
	if (pcm->life == PCM_GONE)
		return -ENODEV;
	return pcm->is_configured ? 0 : -EBADFD;
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
			? pcm->exact
			: pcm->hw;
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
	return (char *)areas->addr + areas->first / 8 + offset * (size_t)pcm->channels * pcm->width;
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
	if (!pcm->is_configured) {
		result = -EBADFD;
	} else if (!pcm->is_capture) {
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
	int err = 0;

	pthread_mutex_lock(&pcm->lock);
	take_pointers(pcm);
	pcm->check_socket = true;
	motion_update(pcm, io->state, now);
	report_gone(pcm);
	err = usable(pcm);
	if (err == 0)
		motion_start(pcm, now);
	motion_arm(pcm, now);
	pthread_mutex_unlock(&pcm->lock);
	return err;
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
	err = usable(pcm);
	if (err == 0 && pcm->has_xrun) {
		snd_pcm_ioplug_set_state(io, SND_PCM_STATE_XRUN);
		pcm->state = SND_PCM_STATE_XRUN;
		err = -EPIPE;
	} else if (err == 0) {
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
	int err = 0;

	pthread_mutex_lock(&pcm->lock);
	pcm->check_socket = true;
	motion_rewind(pcm);
	motion_update(pcm, SND_PCM_STATE_PREPARED, now);
	report_gone(pcm);
	err = usable(pcm);
	motion_arm(pcm, now);
	pthread_mutex_unlock(&pcm->lock);
	return err;
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

/* Also called by snd_pcm_ioplug_delete, so an error after snd_pcm_ioplug_create frees once. */
static int aes67_close(snd_pcm_ioplug_t *io)
{
	pcm_destroy(io->private_data);
	return 0;
}

const snd_pcm_ioplug_callback_t pcm_callbacks = {
	.start = aes67_start,
	.stop = aes67_stop,
	.pointer = aes67_pointer,
	.transfer = aes67_transfer,
	.close = aes67_close,
	.hw_params = pcm_hw_params,
	.hw_free = pcm_hw_free,
	.sw_params = pcm_sw_params,
	.prepare = aes67_prepare,
	/* no drain: alsa-lib then waits on our descriptors itself, and honours non-blocking mode */
	.pause = aes67_pause,
	.poll_descriptors_count = aes67_poll_descriptors_count,
	.poll_descriptors = aes67_poll_descriptors,
	.poll_revents = aes67_poll_revents,
	.dump = aes67_dump,
	.delay = aes67_delay,
	.query_chmaps = pcm_query_chmaps,
	.get_chmap = pcm_get_chmap,
};
