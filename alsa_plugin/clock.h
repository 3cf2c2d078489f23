/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * The clock page: one consistent copy of it, and the arithmetic between CLOCK_MONOTONIC, media
 * time (PTP) and frame numbers. Pure but for clock_read; integers only, exact at every rate.
 *
 *   raw   = mono + (mono_raw_ns - mono_ns)
 *   media = media_ns + (raw - raw_ns) + ((raw - raw_ns) * rate_q40 >> 40)
 *   frame = floor(media * rate / 10^9)
 *
 * Whatever stands in the page, no function here overflows: the products are 128 bits wide and
 * the operands are limited first.
 */
#ifndef AES67_CLOCK_H
#define AES67_CLOCK_H

#include <stdbool.h>

#include "aes67_shm.h"

#define NS_PER_S INT64_C(1000000000)
#define CLOCK_NEVER INT64_MAX /* an instant that does not come: the media clock stands still */
#define CLOCK_LIMIT (INT64_C(1) << 62)
#define CLOCK_RATE_LIMIT (INT64_C(1) << 50) /* 1024 times real time; tests run at 10 */
#define CLOCK_TRIES 1000

__extension__ typedef __int128 clock_wide;

/* What a reader keeps of the page. */
struct clock_line {
	int64_t raw_ns;
	int64_t media_ns;
	int64_t rate_q40;
	int64_t epoch;
	int64_t state;
	int64_t mono_ns; /* this and the next: one instant on both clocks */
	int64_t mono_raw_ns;
	int64_t tick_ns;
	int64_t heartbeat_ns; /* CLOCK_MONOTONIC of the engine's latest tick */
};

static inline int64_t clock_load(const int64_t *field)
{
	return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

/* Both records of the page. False when a writer was always in the way: *line is then as before
 * in the record that could not be read, and a caller goes on with its last values. */
static inline bool clock_read(const struct aes67_clock_page *page, struct clock_line *line)
{
	bool media = false, mono = false;

	for (int i = 0; i < CLOCK_TRIES && !media; i++) {
		int64_t seq = clock_load(&page->media_seq);
		struct clock_line copy = *line;

		copy.raw_ns = clock_load(&page->raw_ns);
		copy.media_ns = clock_load(&page->media_ns);
		copy.rate_q40 = clock_load(&page->rate_q40);
		copy.epoch = clock_load(&page->epoch);
		copy.state = clock_load(&page->state);
		media = !(seq & 1) && clock_load(&page->media_seq) == seq;
		if (media)
			*line = copy;
	}
	for (int i = 0; i < CLOCK_TRIES && !mono; i++) {
		int64_t seq = clock_load(&page->mono_seq);
		struct clock_line copy = *line;

		copy.heartbeat_ns = copy.mono_ns = clock_load(&page->mono_ns);
		copy.mono_raw_ns = clock_load(&page->mono_raw_ns);
		copy.tick_ns = clock_load(&page->tick_ns);
		mono = !(seq & 1) && clock_load(&page->mono_seq) == seq;
		if (mono)
			*line = copy;
	}
	return media && mono;
}

static inline int64_t clock_clamp(clock_wide value, int64_t low, int64_t high)
{
	return value < low ? low : value > high ? high : (int64_t)value;
}

static inline int64_t clock_rate_factor(const struct clock_line *line)
{
	return clock_clamp(line->rate_q40, -CLOCK_RATE_LIMIT, CLOCK_RATE_LIMIT);
}

/* Media time at an instant of CLOCK_MONOTONIC; 0 to 2^62. */
static inline int64_t clock_media_ns(const struct clock_line *line, int64_t mono_ns)
{
	clock_wide since = (clock_wide)mono_ns + line->mono_raw_ns - line->mono_ns - line->raw_ns;
	clock_wide bounded = clock_clamp(since, -CLOCK_LIMIT, CLOCK_LIMIT);

	return clock_clamp(
		line->media_ns + bounded +
			((bounded * clock_rate_factor(line)) >> AES67_RATE_FRACTION_BITS),
		0, CLOCK_LIMIT);
}

/* First instant of CLOCK_MONOTONIC at which media time is at least media_ns. */
static inline int64_t clock_mono_ns(const struct clock_line *line, int64_t media_ns)
{
	clock_wide unit = (clock_wide)1 << AES67_RATE_FRACTION_BITS;
	clock_wide speed = unit + clock_rate_factor(line); /* d media / d raw in 2^-40 */
	clock_wide ahead =
		clock_clamp((clock_wide)media_ns - line->media_ns, -CLOCK_LIMIT, CLOCK_LIMIT);
	clock_wide since;

	if (speed <= 0)
		return CLOCK_NEVER;
	since = ahead * unit / speed; /* rounds towards zero */
	if (since * speed < ahead * unit)
		since++;
	return clock_clamp(since + line->raw_ns - line->mono_raw_ns + line->mono_ns, 0,
			   CLOCK_NEVER);
}

/* Number of the frame that is being sampled at a media time (not negative). */
static inline int64_t clock_frame(int64_t media_ns, int64_t rate)
{
	return media_ns / NS_PER_S * rate + media_ns % NS_PER_S * rate / NS_PER_S;
}

/* First media time of a frame: the smallest ns with clock_frame(ns) >= frame (not negative). */
static inline int64_t clock_frame_ns(int64_t frame, int64_t rate)
{
	clock_wide ns = (clock_wide)(frame / rate) * NS_PER_S +
			((clock_wide)(frame % rate) * NS_PER_S + rate - 1) / rate;

	return clock_clamp(ns, 0, CLOCK_LIMIT);
}

/* First frame that starts at or after the next multiple of grid_ns of media time: streams that
 * start within one grid step are sample-aligned. */
static inline int64_t clock_grid_frame(int64_t media_ns, int64_t grid_ns, int64_t rate)
{
	int64_t instant = (media_ns / grid_ns + 1) * grid_ns;
	int64_t frame = clock_frame(instant, rate);

	return clock_frame_ns(frame, rate) < instant ? frame + 1 : frame;
}

#endif
