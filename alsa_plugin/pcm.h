/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * The state of one PCM handle, and what its files do with it:
 *
 *   pcm_aes67.c  open: configuration, constraints, close
 *   callbacks.c  what alsa-lib calls in between
 *   chmap.c      channel maps
 *   hw_params.c  constraints, and what is done when an application has chosen
 *   life.c       the engine alive or lost
 *   motion.c     position and wake-up
 *   samples.c    data: the rings
 *
 * Everything in life.c, motion.c and samples.c is called with `lock` held. The PCM's own mutex (alsa-lib's)
 * is taken first where both are; no function of alsa-lib that takes it is called under `lock`.
 */
#ifndef AES67_PCM_H
#define AES67_PCM_H

#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <pthread.h>
#include <stdbool.h>

#include "clock.h"
#include "link.h"
#include "params.h"

#define MS INT64_C(1000000) /* in ns */

/* Is there an engine? */
enum pcm_life {
	PCM_ATTACHED,
	PCM_ORPHAN, /* no; going on with the last clock until the grace time is over */
	PCM_GONE, /* for good: the handle is DISCONNECTED */
};

struct pcm_counters {
	uint64_t wakes; /* calls of poll_revents */
	uint64_t spurious; /* of them, with less than avail_min */
	uint64_t arms; /* timerfd_settime */
	uint64_t transfers;
	uint64_t xruns;
	uint64_t attaches; /* after the first */
};

struct pcm {
	snd_pcm_ioplug_t io;
	pthread_mutex_t lock;
	bool is_capture;
	struct params params;
	struct pcm_counters counters;

	/* the engine */
	struct aes67_msg_hello hello;
	struct link link;
	struct link next; /* a re-attach under way */
	enum pcm_life life;
	int idle_fd; /* never ready; stands in for a lost socket */
	int64_t attached_ns; /* these four: instants of CLOCK_MONOTONIC */
	int64_t lost_ns;
	int64_t try_ns; /* next attempt to re-attach, or end of the one under way */
	int64_t checked_ns; /* when the socket was last looked at */
	bool check_socket; /* look at it again now */
	struct clock_line clock;

	/* configuration of the stream */
	bool is_configured;
	unsigned int format; /* AES67_FORMAT_... */
	size_t width; /* bytes of a sample of the application */
	int64_t rate;
	int64_t channels;
	int64_t buffer;
	int64_t quantum; /* frames, at least 1 */
	int64_t delay; /* frames between a position's time and its leaving */
	int64_t avail_min;
	uint64_t boundary;
	uint64_t stop_threshold;

	/* motion, in positions */
	snd_pcm_state_t state; /* of alsa-lib, as last seen; RUNNING already inside start */
	int64_t run;
	int64_t run_seq;
	int64_t run_state; /* RUN_... as published */
	int64_t anchor; /* media frame of position 0 */
	int64_t epoch; /* of the clock, when the anchor was taken */
	int64_t base; /* position of alsa-lib's pointer 0; moved by snd_pcm_reset */
	int64_t exact; /* now, to the frame; negative before the anchor */
	int64_t hw; /* the reported position */
	int64_t returned; /* hw as alsa-lib last got it */
	int64_t appl; /* the application's */
	int64_t written; /* playback: highest position ever written */
	int64_t published; /* appl, as the engine sees it */
	int64_t lag_ns; /* capture: heartbeat at which the bus was first seen lagging; 0: not */
	bool is_behind; /* capture: a late or lost engine has kept frames back */
	bool has_xrun; /* stopped by an xrun that alsa-lib has not been told of yet */

	/* wake-up */
	int timer_fd;
	int64_t armed_ns; /* 0: not yet */

	/* capture: samples that the bus will not keep, int32 [channels][stage_frames] */
	int32_t *stage;
	int64_t stage_frames;
	int64_t stage_from; /* the stage holds [stage_from, staged), ... */
	int64_t staged; /* ... and positions below this are never read from the bus */
	bool is_staging; /* the buffer is longer than the bus reaches back */
};

/* pcm_aes67.c */
int pcm_connect(struct link *link, const struct params *params,
		const struct aes67_msg_hello *hello);
void pcm_destroy(struct pcm *pcm);

/* callbacks.c */
extern const snd_pcm_ioplug_callback_t pcm_callbacks;

/* hw_params.c */
unsigned int pcm_channels_limit(const struct pcm *pcm);
int pcm_set_constraints(struct pcm *pcm);
int pcm_hw_params(snd_pcm_ioplug_t *io, snd_pcm_hw_params_t *params);
int pcm_hw_free(snd_pcm_ioplug_t *io);
int pcm_sw_params(snd_pcm_ioplug_t *io, snd_pcm_sw_params_t *params);

/* chmap.c */
snd_pcm_chmap_t *pcm_get_chmap(snd_pcm_ioplug_t *io);
snd_pcm_chmap_query_t **pcm_query_chmaps(snd_pcm_ioplug_t *io);

/* life.c */
void life_update(struct pcm *pcm, int64_t now);
int64_t life_wake_limit(const struct pcm *pcm, int64_t now);

/* motion.c */
int64_t motion_now(void);
void motion_update(struct pcm *pcm, snd_pcm_state_t state, int64_t now);
void motion_start(struct pcm *pcm, int64_t now);
void motion_pause(struct pcm *pcm, int64_t now, bool enable);
void motion_stop(struct pcm *pcm);
void motion_rewind(struct pcm *pcm); /* to position 0, for prepare */
bool motion_is_ready(const struct pcm *pcm);
void motion_publish(struct pcm *pcm, int64_t run_state);
void motion_meet_discontinuity(struct pcm *pcm, int64_t now);
void motion_arm(struct pcm *pcm, int64_t now);
int64_t motion_avail(const struct pcm *pcm);

/* samples.c */
void samples_prefault(const struct pcm *pcm);
void samples_publish_appl(struct pcm *pcm);
void samples_write(struct pcm *pcm, const void *from, int64_t position, int64_t frames);
int samples_read(struct pcm *pcm, void *to, int64_t position, int64_t frames);
void samples_stage(struct pcm *pcm, int64_t end);
void samples_carry_over(struct pcm *pcm, const struct link *to);
int64_t samples_bus_done(const struct pcm *pcm);
int64_t samples_bus_reach(const struct pcm *pcm);

#endif
