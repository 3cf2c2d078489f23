/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * What the engine grants: the numbers of its replies and the memory that comes with them, checked
 * before they are used. The descriptors stay the caller's.
 */
#define _GNU_SOURCE
#include "grant.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define RATE_MIN 8000
#define RATE_MAX 768000
#define MEMORY_MAX (INT64_C(1) << 33)

void grant_unmap(struct link_memory *memory)
{
	if (memory->address)
		munmap(memory->address, memory->bytes);
	memory->address = NULL;
	memory->bytes = 0;
}

/*
 * Map a descriptor of at least `bytes`. It must be a memfd that nobody can shrink any
 * more, or a truncation elsewhere would be a SIGBUS in the application.
 */
static int map(struct link_memory *memory, int fd, int64_t bytes, int protection)
{
	struct stat st;
	void *address;
	int seals;

	if (fd < 0)
		return -EPROTO;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 || st.st_size < bytes)
		return -EPROTO;
	/* A playback ring is faulted in now: a page fault while playing costs more than a wake-up.
	 * The bus is large and mostly another's channels, so it is not. */
	address = mmap(NULL, (size_t)bytes, protection,
		       MAP_SHARED | (protection & PROT_WRITE ? MAP_POPULATE : 0), fd, 0);
	if (address == MAP_FAILED)
		return -errno;
	memory->address = address;
	memory->bytes = (size_t)bytes;
	return 0;
}

static int check_caps(const struct aes67_msg_caps *caps)
{
	if (caps->rate_count < 1 || caps->rate_count > AES67_MAX_RATES || caps->channels_min < 1 ||
	    caps->channels_min > caps->channels_max ||
	    caps->channels_max > AES67_MAX_STREAM_CHANNELS ||
	    caps->bus_channels > AES67_MAX_DEVICE_CHANNELS)
		return -EPROTO;
	for (uint32_t i = 0; i < caps->rate_count; i++)
		if (caps->rates[i] < RATE_MIN || caps->rates[i] > RATE_MAX)
			return -EPROTO;
	if (caps->period_frames_min < 1 || caps->period_frames_min > 65536 ||
	    caps->quantum_ns > 100000000 || caps->grid_ns < 1 || caps->grid_ns > 1000000000 ||
	    caps->delay_ns < 0 || caps->delay_ns > INT64_C(3600000000000) ||
	    caps->buffer_bytes_max < 1024 || caps->buffer_bytes_max > (1 << 30))
		return -EPROTO;
	return 0;
}

int grant_caps(struct link *link, const struct aes67_msg_caps *caps, int fd)
{
	const struct aes67_clock_page *page;
	int err = check_caps(caps);

	if (err < 0)
		return err;
	err = map(&link->clock, fd, AES67_PAGE_BYTES, PROT_READ);
	if (err < 0)
		return err;
	page = link_clock(link);
	if (page->magic != AES67_CLOCK_MAGIC || page->major != AES67_VERSION_MAJOR)
		return -EPROTO;
	link->caps = *caps;
	link->stage = LINK_READY;
	return 0;
}

static bool is_power_of_two(int64_t number)
{
	return number > 0 && !(number & (number - 1));
}

/* Does the header page say what the message says and the stream needs? */
static bool is_bus(const struct link *link, const struct aes67_msg_stream *stream)
{
	const struct aes67_bus_header *bus = link->memory.address;

	return bus->magic == AES67_BUS_MAGIC && bus->major == AES67_VERSION_MAJOR &&
	       bus->rate == link->setup.rate && bus->channels == stream->channels &&
	       bus->frames == stream->ring_frames;
}

static bool is_stream(const struct link *link, const struct aes67_msg_stream *stream)
{
	const struct aes67_stream_header *header = link->memory.address;

	return header->magic == AES67_STREAM_MAGIC && header->major == AES67_VERSION_MAJOR &&
	       header->rate == link->setup.rate && header->channels == stream->channels &&
	       header->ring_frames == stream->ring_frames;
}

static int check_stream(const struct link *link, const struct aes67_msg_stream *stream)
{
	int64_t channels = link->setup.channels, needed;
	bool fits;

	if (!is_power_of_two(stream->ring_frames) || stream->ring_frames > (1 << 28) ||
	    stream->channels < 1 || stream->channels > AES67_MAX_DEVICE_CHANNELS)
		return -EPROTO;
	if (link->is_capture)
		fits = stream->channels >= link->first + channels &&
		       stream->ring_frames >=
			       (int64_t)link->setup.rate * AES67_BUS_REACH_PERMILLE / 1000;
	else
		fits = stream->channels == channels &&
		       stream->ring_frames >= link->setup.buffer_frames;
	if (!fits)
		return -EPROTO;
	needed = AES67_PAGE_BYTES + stream->ring_frames * stream->channels * 4;
	return stream->bytes < needed || stream->bytes > MEMORY_MAX ? -EPROTO : 0;
}

int grant_stream(struct link *link, const struct aes67_msg_stream *stream, int fd)
{
	int err = check_stream(link, stream);

	if (err < 0)
		return err;
	err = map(&link->memory, fd, stream->bytes,
		  link->is_capture ? PROT_READ : PROT_READ | PROT_WRITE);
	if (err < 0)
		return err;
	if (!(link->is_capture ? is_bus(link, stream) : is_stream(link, stream)))
		return -EPROTO;
	link->ring_frames = stream->ring_frames;
	link->ring_channels = stream->channels;
	link->stage = LINK_UP;
	return 0;
}
