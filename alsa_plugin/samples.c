/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "convert.h"
#include "pcm.h"
#include "ring.h"

#define BLOCK_FRAMES 64 /* of a channel before the next one, while gathering from planes */

/* A ring of planes int32 [channels][frames]; position 0 lies in slot `origin` modulo frames. */
struct planes {
	const int32_t *samples;
	int64_t frames;
	int64_t origin;
};

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Playback */

/* Frames that snd_pcm_forward skipped have never been written: they are silence, not old sound. */
static void fill_gap(struct pcm *pcm, int64_t end)
{
	int64_t ring = pcm->link.ring_frames;
	int64_t position = larger(pcm->written, end - ring);

	while (position < end) {
		int64_t slot = position & (ring - 1);
		int64_t run = smaller(end - position, ring - slot);

		memset(link_samples(&pcm->link) + slot * pcm->channels, 0,
		       (size_t)(run * pcm->channels) * sizeof(int32_t));
		position += run;
	}
	pcm->written = end;
}

/* Tell the engine how far the application has come, also after snd_pcm_rewind and _forward, which
 * call nothing. */
void samples_publish_appl(struct pcm *pcm)
{
	struct aes67_stream_header *stream = link_stream(&pcm->link);

	if (pcm->is_capture || !stream || pcm->appl == pcm->published)
		return;
	if (pcm->appl > pcm->written)
		fill_gap(pcm, pcm->appl);
	pcm->published = pcm->appl;
	__atomic_store_n(&stream->client_mono_ns, motion_now(), __ATOMIC_RELAXED);
	__atomic_store_n(&stream->appl_pos, pcm->appl, __ATOMIC_RELEASE);
}

void samples_write(struct pcm *pcm, const void *from, int64_t position, int64_t frames)
{
	int64_t ring = pcm->link.ring_frames, end = position + frames;
	const char *bytes = from;

	if (position > pcm->written)
		fill_gap(pcm, position);
	while (position < end) {
		int64_t slot = position & (ring - 1);
		int64_t run = smaller(end - position, ring - slot);
		size_t count = (size_t)(run * pcm->channels);

		convert_in(pcm->format, link_samples(&pcm->link) + slot * pcm->channels, bytes,
			   count);
		bytes += count * pcm->width;
		position += run;
	}
	pcm->written = larger(pcm->written, end);
}

/* Sound that was written but not played moves to the ring of a re-attached stream. */
void samples_carry_over(struct pcm *pcm, const struct link *to)
{
	int64_t old = pcm->link.ring_frames, new = to->ring_frames;
	int64_t position = larger(pcm->hw, pcm->written - smaller(old, new));

	for (; position < pcm->written; position++)
		memcpy(link_samples(to) + (position & (new - 1)) * pcm->channels,
		       link_samples(&pcm->link) + (position & (old - 1)) * pcm->channels,
		       (size_t)pcm->channels * sizeof(int32_t));
}

/* Capture */

int64_t samples_bus_done(const struct pcm *pcm)
{
	return clock_clamp(clock_load(&link_clock(&pcm->link)->bus_done), 0, CLOCK_LIMIT);
}

/* How many frames behind bus_done the bus keeps; the schema's bus_reach_frames. */
int64_t samples_bus_reach(const struct pcm *pcm)
{
	return pcm->rate * AES67_BUS_REACH_PERMILLE / 1000;
}

static struct planes bus_planes(const struct pcm *pcm)
{
	return (struct planes){
		.samples = link_samples(&pcm->link) +
			   (int64_t)pcm->params.first * pcm->link.ring_frames,
		.frames = pcm->link.ring_frames,
		.origin = pcm->anchor,
	};
}

static struct planes stage_planes(const struct pcm *pcm)
{
	return (struct planes){ .samples = pcm->stage, .frames = pcm->stage_frames };
}

/* Fault our channels of the bus in now: a page fault later costs more than a wake-up. */
void samples_prefault(const struct pcm *pcm)
{
	const volatile int32_t *row = bus_planes(pcm).samples;
	int64_t count = pcm->channels * pcm->link.ring_frames;

	for (int64_t i = 0; i < count; i += AES67_PAGE_BYTES / (int64_t)sizeof(*row))
		(void)row[i];
}

/* Interleave from planes, converting. */
static char *gather(const struct pcm *pcm, struct planes from, char *to, int64_t position,
		    int64_t frames)
{
	size_t frame_bytes = (size_t)pcm->channels * pcm->width;

	while (frames > 0) {
		int64_t slot = (from.origin + position) & (from.frames - 1);
		int64_t run = smaller(smaller(frames, from.frames - slot), BLOCK_FRAMES);

		for (int64_t c = 0; c < pcm->channels; c++)
			convert_out(pcm->format, to + (size_t)c * pcm->width, frame_bytes,
				    from.samples + c * from.frames + slot, (size_t)run);
		to += (size_t)run * frame_bytes;
		position += run;
		frames -= run;
	}
	return to;
}

/* All formats have zero bits for silence. */
static char *silence(const struct pcm *pcm, char *to, int64_t frames)
{
	size_t bytes = (size_t)frames * (size_t)pcm->channels * pcm->width;

	memset(to, 0, bytes);
	return to + bytes;
}

/* The part of [position, end) that the bus holds: [*low, *high). */
static void bus_part(const struct pcm *pcm, int64_t position, int64_t end, int64_t *low,
		     int64_t *high)
{
	int64_t done = samples_bus_done(pcm) - pcm->anchor;

	*low = larger(position, smaller(end, done - samples_bus_reach(pcm)));
	*high = larger(*low, smaller(end, done));
}

static char *read_bus(struct pcm *pcm, char *to, int64_t position, int64_t end)
{
	int64_t low, high;

	bus_part(pcm, position, end, &low, &high);
	to = silence(pcm, to, low - position);
	to = gather(pcm, bus_planes(pcm), to, low, high - low);
	return silence(pcm, to, end - high);
}

static char *read_stage(struct pcm *pcm, char *to, int64_t position, int64_t end)
{
	int64_t oldest = larger(pcm->stage_from, pcm->staged - pcm->stage_frames);
	int64_t low = larger(position, smaller(end, oldest));

	to = silence(pcm, to, low - position);
	return gather(pcm, stage_planes(pcm), to, low, end - low);
}

/* 0, or -EPIPE when the engine overwrote the frames while they were being copied. */
int samples_read(struct pcm *pcm, void *to, int64_t position, int64_t frames)
{
	int64_t end = position + frames;
	int64_t middle = larger(position, smaller(end, pcm->staged));
	int64_t low, high, after_low, after_high;
	char *bytes = to;

	if (middle > position)
		bytes = read_stage(pcm, bytes, position, middle);
	if (middle == end)
		return 0;
	bus_part(pcm, middle, end, &low, &high);
	read_bus(pcm, bytes, middle, end);
	__atomic_thread_fence(__ATOMIC_ACQUIRE); /* the copy is over before bus_done is read */
	bus_part(pcm, middle, end, &after_low, &after_high);
	return after_low > low ? -EPIPE : 0;
}

/* Copy what the application has not read yet, up to position `end`, out of the bus. */
void samples_stage(struct pcm *pcm, int64_t end)
{
	int64_t position = larger(pcm->staged, larger(pcm->appl, end - pcm->stage_frames));
	struct planes bus;
	int64_t low, high;

	if (!pcm->is_capture || !pcm->stage || position >= end)
		return;
	bus = bus_planes(pcm);
	bus_part(pcm, position, end, &low, &high);
	for (int64_t c = 0; c < pcm->channels; c++) {
		int32_t *to = pcm->stage + c * pcm->stage_frames;
		const int32_t *from = bus.samples + c * bus.frames;

		for (int64_t p = position; p < end; p++)
			to[p & (pcm->stage_frames - 1)] =
				p < low || p >= high ? 0
						     : from[(bus.origin + p) & (bus.frames - 1)];
	}
	if (position > pcm->staged)
		pcm->stage_from = position;
	pcm->staged = end;
}
