/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * Arithmetic of positions. A position is a linear frame count since prepare, 64 bits, never
 * wrapping; alsa-lib's pointers are the same counts modulo its boundary. Pure.
 */
#ifndef AES67_RING_H
#define AES67_RING_H

#include <stdint.h>

/* The position nearest to `near` that is `wrapped` modulo boundary. */
static inline int64_t ring_linear(int64_t near, uint64_t wrapped, uint64_t boundary)
{
	int64_t span = (int64_t)boundary;
	int64_t diff = (int64_t)wrapped - (near % span + span) % span;

	if (diff > span / 2)
		diff -= span;
	else if (diff < -(span / 2))
		diff += span;
	return near + diff;
}

/* alsa-lib's pointer for a position that is not negative. */
static inline uint64_t ring_wrapped(int64_t position, uint64_t boundary)
{
	return (uint64_t)position % boundary;
}

/*
 * The position to report: the exact one rounded down to a multiple of `quantum`, but exactly
 * `target` (the position somebody waits for) as soon as it is reached. Never less than `last`.
 *
 * A pointer that moves with every frame makes snd_pcm_readi copy frame by frame at high rates
 * and never sleep; the quantum bounds that to 8000 rounds a second.
 */
static inline int64_t ring_reported(int64_t exact, int64_t last, int64_t target, int64_t quantum)
{
	int64_t position = exact - (exact % quantum + quantum) % quantum;

	if (target <= exact && target > position)
		position = target;
	return position > last ? position : last;
}

/* Frames an application may write (playback) or read (capture). */
static inline int64_t ring_avail(int is_capture, int64_t hw, int64_t appl, int64_t buffer)
{
	return is_capture ? hw - appl : hw + buffer - appl;
}

/* The hardware position at which `avail` frames become available. */
static inline int64_t ring_target(int is_capture, int64_t avail, int64_t appl, int64_t buffer)
{
	return is_capture ? appl + avail : appl + avail - buffer;
}

/* Smallest power of two that is at least `frames` (1 to 2^62). */
static inline int64_t ring_power_of_two(int64_t frames)
{
	int64_t power = 1;

	while (power < frames)
		power <<= 1;
	return power;
}

#endif
