/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>

#include "pcm.h"
#include "ring.h"

#define WAKE_LATER_NS 1000 /* so that a slewed clock does not wake one frame early */
#define WAKE_TOLERANCE_NS 500
#define WAKE_LIMIT_STAGING_NS (200 * MS)
#define RETRY_MIN_NS (MS / 10)
#define RETRY_MAX_NS MS
#define READY_NOW 1 /* an instant long past */
#define BUS_LAG_S 50 /* a bus 1/50 s behind the engine's own clock, for that long, is broken */
#define STILL_NS (20 * MS) /* look again at a media clock that stands still */
#define DRAIN_LAG_S 10 /* wait 1/10 s at most for the engine to take the last frames */

int64_t motion_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int64_t media_frame(const struct pcm *pcm, int64_t now)
{
	return clock_frame(clock_media_ns(&pcm->clock, now), pcm->rate);
}

static bool is_moving(const struct pcm *pcm)
{
	return pcm->state == SND_PCM_STATE_RUNNING || pcm->state == SND_PCM_STATE_DRAINING;
}

/* An application that set stop_threshold to the boundary wants to run through xruns. */
static bool stops_at_xrun(const struct pcm *pcm)
{
	return pcm->stop_threshold < pcm->boundary;
}

/* What the engine reads: a seqlock, one new run number for each change. */
void motion_publish(struct pcm *pcm, int64_t run_state)
{
	struct aes67_stream_header *stream = link_stream(&pcm->link);

	pcm->run_state = run_state;
	if (pcm->is_capture || !stream)
		return;
	pcm->run++;
	__atomic_store_n(&stream->run_seq, pcm->run_seq + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&stream->run, pcm->run, __ATOMIC_RELEASE);
	__atomic_store_n(&stream->state, run_state, __ATOMIC_RELEASE);
	__atomic_store_n(&stream->anchor, pcm->anchor, __ATOMIC_RELEASE);
	__atomic_store_n(&stream->start_pos, pcm->hw, __ATOMIC_RELEASE);
	__atomic_store_n(&stream->epoch, pcm->epoch, __ATOMIC_RELEASE);
	pcm->run_seq += 2;
	__atomic_store_n(&stream->run_seq, pcm->run_seq, __ATOMIC_RELEASE);
}

/* Same run, same numbers: what is not written from now on is not missing. */
static void publish_draining(struct pcm *pcm)
{
	struct aes67_stream_header *stream = link_stream(&pcm->link);

	pcm->run_state = AES67_RUN_DRAINING;
	if (stream)
		__atomic_store_n(&stream->state, AES67_RUN_DRAINING, __ATOMIC_RELEASE);
}

/* Let position hw fall on media frame `frame`. What was captured under the old anchor and not
 * read yet is put aside first. */
static void set_anchor(struct pcm *pcm, int64_t frame)
{
	samples_stage(pcm, pcm->hw);
	pcm->anchor = frame - pcm->hw;
	pcm->epoch = pcm->clock.epoch;
}

void motion_stop(struct pcm *pcm)
{
	if (pcm->run_state != AES67_RUN_IDLE)
		motion_publish(pcm, AES67_RUN_IDLE);
}

static void stop_with_xrun(struct pcm *pcm)
{
	pcm->has_xrun = true;
	pcm->counters.xruns++;
	motion_stop(pcm);
}

/* Media time has jumped. */
void motion_meet_discontinuity(struct pcm *pcm, int64_t now)
{
	if (!is_moving(pcm))
		return;
	if (pcm->state == SND_PCM_STATE_RUNNING && stops_at_xrun(pcm)) {
		stop_with_xrun(pcm);
		return;
	}
	set_anchor(pcm, media_frame(pcm, now));
	motion_publish(pcm, AES67_RUN_RUNNING);
}

int64_t motion_avail(const struct pcm *pcm)
{
	return ring_avail(pcm->is_capture, pcm->hw, pcm->appl, pcm->buffer);
}

static bool is_xrun(const struct pcm *pcm)
{
	int64_t avail = motion_avail(pcm);

	return stops_at_xrun(pcm) && avail >= 0 && (uint64_t)avail >= pcm->stop_threshold;
}

/* The position the application waits for: data or space, the end of a drain, or an xrun. */
static int64_t wanted(const struct pcm *pcm)
{
	int64_t target, limit;

	if (pcm->state == SND_PCM_STATE_DRAINING)
		return pcm->appl;
	target = ring_target(pcm->is_capture, pcm->avail_min, pcm->appl, pcm->buffer);
	if (!stops_at_xrun(pcm))
		return target;
	limit = ring_target(pcm->is_capture, (int64_t)pcm->stop_threshold, pcm->appl, pcm->buffer);
	return limit < target ? limit : target;
}

/* The engine's clock moves on but its bus does not, and has not for a while: a fault, where a
 * late engine is late with both. */
static bool is_bus_stuck(struct pcm *pcm, int64_t done)
{
	bool lags = media_frame(pcm, pcm->clock.heartbeat_ns) - done > pcm->rate / BUS_LAG_S;

	if (!lags)
		pcm->lag_ns = 0;
	else if (!pcm->lag_ns)
		pcm->lag_ns = pcm->clock.heartbeat_ns;
	return lags && pcm->clock.heartbeat_ns - pcm->lag_ns > NS_PER_S / BUS_LAG_S;
}

/* Captured frames are there when the engine says so; while it is late they wait for it. */
static int64_t limit_to_bus(struct pcm *pcm, int64_t position)
{
	int64_t done = samples_bus_done(pcm);
	bool is_stuck = is_bus_stuck(pcm, done);

	if (position <= done - pcm->anchor)
		return position;
	if (is_stuck && pcm->state == SND_PCM_STATE_RUNNING && stops_at_xrun(pcm))
		stop_with_xrun(pcm);
	else if (is_stuck)
		return position;
	return done - pcm->anchor;
}

/*
 * When an engine that was late goes on, or is given up, frames come all at once that nobody could
 * have read before. For an application that waited for them that is no overrun: they are handed
 * to it as it reads, up to a buffer at a time, until it is level with the clock again. What the
 * bus has overwritten meanwhile is lost all the same.
 */
static int64_t catch_up(struct pcm *pcm, int64_t position, int64_t clock)
{
	int64_t limit;

	if (!stops_at_xrun(pcm))
		return position;
	limit = pcm->appl + (int64_t)pcm->stop_threshold - 1;
	if (position < clock && position - pcm->appl < pcm->avail_min)
		pcm->is_behind = true;
	else if ((position == clock && position <= limit) ||
		 position - pcm->hw > samples_bus_reach(pcm))
		pcm->is_behind = false;
	return pcm->is_behind && position > limit ? limit : position;
}

/* Has the engine taken everything that was written? */
static bool is_drained(const struct pcm *pcm)
{
	const struct aes67_stream_header *stream = link_stream(&pcm->link);

	if (pcm->life != PCM_ATTACHED || !stream ||
	    pcm->exact - pcm->appl > pcm->rate / DRAIN_LAG_S + pcm->delay)
		return true;
	return clock_load(&stream->ack_run) == pcm->run &&
	       clock_load(&stream->done_pos) >= pcm->appl;
}

static void move(struct pcm *pcm, int64_t now)
{
	int64_t clock = media_frame(pcm, now) - pcm->anchor;
	int64_t position = clock;

	if (pcm->is_capture && pcm->life == PCM_ATTACHED)
		position = limit_to_bus(pcm, clock);
	if (pcm->is_capture)
		position = catch_up(pcm, position, clock);
	pcm->exact = position;
	if (pcm->has_xrun)
		return;
	position = ring_reported(position, pcm->hw, wanted(pcm), pcm->quantum);
	if (pcm->state == SND_PCM_STATE_DRAINING && position >= pcm->appl)
		position = is_drained(pcm) ? pcm->appl : pcm->appl - 1;
	if (position > pcm->hw)
		pcm->hw = position;
	if (pcm->is_staging)
		samples_stage(pcm, pcm->hw);
	if (pcm->state == SND_PCM_STATE_RUNNING && is_xrun(pcm))
		stop_with_xrun(pcm);
}

void motion_update(struct pcm *pcm, snd_pcm_state_t state, int64_t now)
{
	pcm->state = state;
	life_update(pcm, now);
	if (pcm->life == PCM_GONE || !pcm->is_configured || !is_moving(pcm) || pcm->has_xrun)
		return;
	if (pcm->life == PCM_ATTACHED && pcm->clock.epoch != pcm->epoch)
		motion_meet_discontinuity(pcm, now);
	if (state == SND_PCM_STATE_DRAINING && !pcm->is_capture &&
	    pcm->run_state == AES67_RUN_RUNNING)
		publish_draining(pcm);
	if (!pcm->has_xrun)
		move(pcm, now);
}

void motion_start(struct pcm *pcm, int64_t now)
{
	int64_t media = clock_media_ns(&pcm->clock, now);

	pcm->state = SND_PCM_STATE_RUNNING;
	pcm->has_xrun = false;
	pcm->lag_ns = 0;
	pcm->is_behind = false;
	set_anchor(pcm, clock_grid_frame(media, pcm->link.caps.grid_ns, pcm->rate));
	pcm->exact = pcm->hw;
	motion_publish(pcm, AES67_RUN_RUNNING);
}

void motion_pause(struct pcm *pcm, int64_t now, bool enable)
{
	if (enable) {
		if (pcm->exact > pcm->hw)
			pcm->hw = pcm->exact;
		samples_stage(pcm, pcm->hw);
		motion_publish(pcm, AES67_RUN_PAUSED);
		pcm->state = SND_PCM_STATE_PAUSED;
		return;
	}
	set_anchor(pcm, media_frame(pcm, now));
	pcm->state = SND_PCM_STATE_RUNNING;
	motion_publish(pcm, AES67_RUN_RUNNING);
}

void motion_rewind(struct pcm *pcm)
{
	motion_stop(pcm);
	pcm->base = pcm->exact = pcm->hw = pcm->returned = pcm->appl = pcm->written = 0;
	pcm->stage_from = pcm->staged = 0;
	pcm->has_xrun = false;
	pcm->published = -1;
	samples_publish_appl(pcm);
}

bool motion_is_ready(const struct pcm *pcm)
{
	if (pcm->life == PCM_GONE || pcm->has_xrun)
		return true;
	switch (pcm->state) {
	case SND_PCM_STATE_PREPARED:
	case SND_PCM_STATE_RUNNING:
	case SND_PCM_STATE_PAUSED:
		return motion_avail(pcm) >= pcm->avail_min;
	case SND_PCM_STATE_DRAINING:
		return pcm->is_capture || pcm->hw >= pcm->appl;
	default:
		return true;
	}
}

static int64_t retry_ns(const struct pcm *pcm, int64_t now)
{
	return now + clock_clamp(pcm->clock.tick_ns, RETRY_MIN_NS, RETRY_MAX_NS);
}

/* At `when`, but no later than `limit`; a wake-up already armed before that is kept. */
static int64_t at_latest(const struct pcm *pcm, int64_t when, int64_t now, int64_t limit)
{
	if (when <= now + limit)
		return when;
	return pcm->armed_ns > now && pcm->armed_ns <= now + limit ? pcm->armed_ns : now + limit;
}

/* The instant to wake at: READY_NOW, or one that is still to come. An expired timer that leads to
 * no progress would be a busy loop. */
static int64_t wake_ns(const struct pcm *pcm, int64_t now)
{
	int64_t when = CLOCK_NEVER, limit;

	if (motion_is_ready(pcm))
		return READY_NOW;
	if (is_moving(pcm)) {
		int64_t frame = pcm->anchor + wanted(pcm);

		when = clock_mono_ns(&pcm->clock, clock_frame_ns(frame > 0 ? frame : 0, pcm->rate));
		if (when < CLOCK_NEVER - WAKE_LATER_NS)
			when += WAKE_LATER_NS;
		else
			when = at_latest(pcm, when, now, STILL_NS);
		if (when <= now)
			when = retry_ns(pcm, now);
	}
	limit = life_wake_limit(pcm, now);
	if (pcm->is_staging && limit > WAKE_LIMIT_STAGING_NS)
		limit = WAKE_LIMIT_STAGING_NS;
	return at_latest(pcm, when, now, limit);
}

/* The mapping to CLOCK_MONOTONIC trembles at each tick of the engine: no system call for that. */
static bool is_armed_for(const struct pcm *pcm, int64_t when, int64_t now)
{
	int64_t change = when - pcm->armed_ns;

	if (pcm->armed_ns <= now || when <= now)
		return change == 0;
	return change < WAKE_TOLERANCE_NS && change > -WAKE_TOLERANCE_NS;
}

void motion_arm(struct pcm *pcm, int64_t now)
{
	int64_t when = wake_ns(pcm, now);
	struct itimerspec spec = {
		.it_value = { .tv_sec = when / NS_PER_S, .tv_nsec = when % NS_PER_S },
	};

	if (is_armed_for(pcm, when, now))
		return;
	pcm->armed_ns = when;
	pcm->counters.arms++;
	timerfd_settime(pcm->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}
