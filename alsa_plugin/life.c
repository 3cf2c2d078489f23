/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * Is there an engine? Its socket and the age of its clock page say so. When it is lost, this PCM
 * goes on with the last clock and looks for it again, without ever blocking, until the grace time
 * is over.
 */
#define _GNU_SOURCE
#include <time.h>

#include "pcm.h"

#define SOCKET_CHECK_NS (20 * MS) /* how often an application that never polls looks */
#define STALE_NS (1000 * MS) /* a clock page this old: the engine is stuck */
#define ATTACH_EVERY_NS (50 * MS)
#define ATTACH_STEP_NS (5 * MS)
#define ATTACH_TIMEOUT_NS (500 * MS)
#define CONTINUOUS_NS MS /* media time may differ by this over a re-attach */

static void lose_engine(struct pcm *pcm, int64_t now)
{
	link_orphan(&pcm->link, pcm->idle_fd);
	pcm->life = PCM_ORPHAN;
	pcm->lost_ns = now;
	pcm->try_ns = now;
}

static void give_up(struct pcm *pcm)
{
	motion_stop(pcm);
	link_close(&pcm->next);
	link_orphan(&pcm->link, pcm->idle_fd);
	pcm->life = PCM_GONE;
}

/* Is the device of the new engine still ours? */
static bool fits(const struct pcm *pcm, const struct aes67_msg_caps *caps)
{
	bool has_rate = !pcm->is_configured;

	for (uint32_t i = 0; i < caps->rate_count; i++)
		has_rate = has_rate || caps->rates[i] == pcm->rate;
	return has_rate && pcm->channels <= caps->channels_max &&
	       pcm->params.first + pcm->channels <= caps->bus_channels;
}

static void finish_attach(struct pcm *pcm, int64_t now)
{
	int64_t before = clock_media_ns(&pcm->clock, now);
	struct clock_line line = { 0 };
	int64_t jump;

	if (!clock_read(link_clock(&pcm->next), &line))
		return; /* its writer is in the way: at the next step */
	line.mono_ns = pcm->clock.mono_ns;
	line.mono_raw_ns = pcm->clock.mono_raw_ns;
	if (pcm->next.stage == LINK_UP && pcm->is_capture)
		samples_stage(pcm, pcm->hw);
	else if (pcm->next.stage == LINK_UP)
		samples_carry_over(pcm, &pcm->next);
	if (link_replace(&pcm->link, &pcm->next) < 0)
		return;
	pcm->clock = line;
	pcm->life = PCM_ATTACHED;
	pcm->attached_ns = now;
	pcm->run_seq = 0;
	pcm->counters.attaches++;
	jump = clock_media_ns(&line, now) - before;
	pcm->epoch = line.epoch;
	pcm->published = -1;
	samples_publish_appl(pcm);
	if (pcm->run_state != AES67_RUN_IDLE)
		motion_publish(pcm, pcm->run_state);
	if (jump > CONTINUOUS_NS || jump < -CONTINUOUS_NS)
		motion_meet_discontinuity(pcm, now);
}

/* One step towards a new engine, never blocking. */
static void try_attach(struct pcm *pcm, int64_t now)
{
	struct link *next = &pcm->next;
	int err = 0;

	if (next->stage == LINK_CLOSED) {
		if (now < pcm->try_ns)
			return;
		err = link_connect(next, pcm->params.server, &pcm->hello);
		pcm->try_ns = now + (err < 0 ? ATTACH_EVERY_NS : ATTACH_TIMEOUT_NS);
		if (err < 0)
			return;
	}
	err = link_step(next);
	if (err == 0 && next->stage == LINK_READY && !fits(pcm, &next->caps)) {
		give_up(pcm);
		return;
	}
	if (err == 0 && next->stage == LINK_READY && pcm->is_configured)
		err = link_setup(next, &pcm->link.setup);
	if (err == 0 && next->stage == (pcm->is_configured ? LINK_UP : LINK_READY)) {
		finish_attach(pcm, now);
		return;
	}
	if (err < 0 || now >= pcm->try_ns) {
		link_close(next);
		pcm->try_ns = now + ATTACH_EVERY_NS;
	}
}

static void check_socket(struct pcm *pcm, int64_t now)
{
	unsigned int events;

	if (!pcm->check_socket && now - pcm->checked_ns < SOCKET_CHECK_NS)
		return;
	pcm->check_socket = false;
	pcm->checked_ns = now;
	events = link_events(&pcm->link);
	if (events & LINK_EVENT_RECONFIGURED)
		give_up(pcm);
	else if (events & LINK_EVENT_GONE)
		lose_engine(pcm, now);
}

/* When the engine last gave a sign of life. */
static int64_t seen_ns(const struct pcm *pcm)
{
	int64_t heartbeat = pcm->clock.heartbeat_ns;

	return heartbeat > pcm->attached_ns ? heartbeat : pcm->attached_ns;
}

/*
 * What time it is on both clocks, read here and now: the pair in the page was taken at a tick and
 * ages while there is none, and a tick interrupted between its two readings would make the media
 * clock leap for everybody.
 */
static void read_instant(struct clock_line *line, int64_t now)
{
	struct timespec raw;

	clock_gettime(CLOCK_MONOTONIC_RAW, &raw);
	line->mono_ns = now;
	line->mono_raw_ns = (int64_t)raw.tv_sec * NS_PER_S + raw.tv_nsec;
}

void life_update(struct pcm *pcm, int64_t now)
{
	if (pcm->life == PCM_ATTACHED)
		clock_read(link_clock(&pcm->link), &pcm->clock);
	read_instant(&pcm->clock, now);
	if (pcm->life == PCM_ATTACHED) {
		check_socket(pcm, now);
		if (pcm->life == PCM_ATTACHED && now - seen_ns(pcm) > STALE_NS)
			lose_engine(pcm, now);
	}
	if (pcm->life == PCM_ORPHAN) {
		if (now - pcm->lost_ns >= pcm->params.grace_ms * MS)
			give_up(pcm);
		else
			try_attach(pcm, now);
	}
}

/* How long a waiting application may sleep without a look at all this. */
int64_t life_wake_limit(const struct pcm *pcm, int64_t now)
{
	if (pcm->life != PCM_ORPHAN)
		return clock_clamp((clock_wide)seen_ns(pcm) + STALE_NS + ATTACH_STEP_NS - now,
				   ATTACH_STEP_NS, STALE_NS);
	return pcm->next.stage == LINK_CLOSED ? ATTACH_EVERY_NS : ATTACH_STEP_NS;
}
