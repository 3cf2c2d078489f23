/*
 * libFuzzer: an engine that answers and writes anything, and an application that calls anything.
 *
 * The input is a list of commands. The first bytes change the engine's replies and pages, which
 * are sound before that; the rest are calls of the application, jumps of time and stores into the
 * shared memory. The plugin's system calls are wrapped at link time, so nothing here waits:
 * --wrap=socket,connect,send,poll,nanosleep,clock_gettime. Each run must give back every descriptor.
 */
#define _GNU_SOURCE
#include <alsa/asoundlib.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "aes67_shm.h"

#define RING_FRAMES 65536
#define BUS_CHANNELS 4

int _snd_pcm_aes67_open(snd_pcm_t **pcmp, const char *name, snd_config_t *root, snd_config_t *conf,
			snd_pcm_stream_t stream, int mode);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length);
ssize_t __wrap_send(int fd, const void *message, size_t size, int flags);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

static const uint8_t *next;
static size_t left;
static int engine_fd = -1; /* the engine's end */
static int64_t now_ns;
static int is_capture;
static uint8_t *clock_page, *memory;
static size_t memory_bytes;

static unsigned int take(void)
{
	if (left == 0)
		return 0;
	left--;
	return *next++;
}

static int64_t take_number(void)
{
	int64_t value = 0;

	switch (take() % 4) {
	case 0:
		return (int64_t)take() - 128;
	case 1:
		return ((int64_t)take() << 8 | take()) * 1000;
	case 2:
		return INT64_C(1) << take() % 63;
	default:
		for (int i = 0; i < 8; i++)
			value = (int64_t)((uint64_t)value << 8 | take());
		return value;
	}
}

/* Some fields of a structure become something else. */
static void spoil(void *structure, size_t size)
{
	unsigned int count = take() % 4;

	while (count--) {
		size_t at = take() * 4 % (size - 3);
		int64_t value = take_number();

		memcpy((char *)structure + at, &value, size - at < 8 ? 4 : take() & 1 ? 8 : 4);
	}
}

static int new_memory(size_t size, uint8_t **address)
{
	int fd = memfd_create("fuzz", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		abort();
	*address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*address == MAP_FAILED)
		abort();
	if (take() % 16 != 15)
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	return fd;
}

static void deliver(const void *message, size_t size, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)message, size };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0 && take() % 16 != 1) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		header.msg_control = control;
		header.msg_controllen = sizeof(control);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (engine_fd >= 0)
		sendmsg(engine_fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (fd >= 0)
		close(fd);
}

static void answer_hello(uint32_t serial)
{
	struct aes67_msg_caps caps = {
		.magic = AES67_MESSAGE_MAGIC, .major = AES67_VERSION_MAJOR, .type = AES67_MSG_CAPS,
		.size = sizeof(caps), .serial = serial, .rate_count = 1, .rates = { 48000 },
		.bus_channels = BUS_CHANNELS, .channels_min = 1, .channels_max = BUS_CHANNELS,
		.period_frames_min = 6, .quantum_ns = 125000, .buffer_bytes_max = 1 << 16,
		.grid_ns = 125000,
	};
	struct aes67_clock_page *page;
	uint8_t *address;
	int fd = new_memory(AES67_PAGE_BYTES, &address);

	if (clock_page)
		munmap(clock_page, AES67_PAGE_BYTES);
	clock_page = address;
	page = (struct aes67_clock_page *)clock_page;
	page->magic = AES67_CLOCK_MAGIC;
	page->major = AES67_VERSION_MAJOR;
	page->raw_ns = page->mono_raw_ns = page->mono_ns = now_ns;
	page->media_ns = INT64_C(1700000000000000000);
	page->bus_done = page->media_ns / 1000000000 * 48000;
	spoil(&caps, sizeof(caps));
	spoil(page, 256);
	deliver(&caps, take() % 8 != 7 ? sizeof(caps) : take() % sizeof(caps), fd);
}

static void answer_setup(uint32_t serial, const struct aes67_msg_setup *setup)
{
	int64_t channels = is_capture ? BUS_CHANNELS : setup->channels;
	struct aes67_msg_stream stream = {
		.magic = AES67_MESSAGE_MAGIC, .major = AES67_VERSION_MAJOR, .type = AES67_MSG_STREAM,
		.size = sizeof(stream), .serial = serial, .ring_frames = RING_FRAMES,
		.channels = channels,
	};
	struct aes67_bus_header *bus;
	struct aes67_stream_header *header;
	size_t size = (size_t)(AES67_PAGE_BYTES + RING_FRAMES * channels * 4);
	int fd;

	if (memory)
		munmap(memory, memory_bytes);
	memory_bytes = size;
	fd = new_memory(size, &memory);
	stream.bytes = (int64_t)size;
	bus = (struct aes67_bus_header *)memory;
	header = (struct aes67_stream_header *)memory;
	if (is_capture) {
		bus->magic = AES67_BUS_MAGIC;
		bus->major = AES67_VERSION_MAJOR;
		bus->rate = setup->rate;
		bus->channels = channels;
		bus->frames = RING_FRAMES;
	} else {
		header->magic = AES67_STREAM_MAGIC;
		header->major = AES67_VERSION_MAJOR;
		header->rate = setup->rate;
		header->channels = channels;
		header->ring_frames = RING_FRAMES;
	}
	spoil(&stream, sizeof(stream));
	spoil(memory, 256);
	deliver(&stream, take() % 8 != 7 ? sizeof(stream) : take() % sizeof(stream), fd);
}

int __wrap_socket(int domain, int type, int protocol)
{
	int pair[2];

	if (socketpair(domain, type, protocol, pair) < 0)
		abort();
	if (engine_fd >= 0)
		close(engine_fd);
	engine_fd = pair[1];
	return pair[0];
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	(void)fd, (void)address, (void)length;
	errno = ECONNREFUSED;
	return take() % 8 == 7 ? -1 : 0;
}

ssize_t __wrap_send(int fd, const void *message, size_t size, int flags)
{
	const struct aes67_msg_event *head = message;

	(void)fd, (void)flags;
	if (head->type == AES67_MSG_HELLO)
		answer_hello(head->serial);
	else if (head->type == AES67_MSG_SETUP)
		answer_setup(head->serial, message);
	return (ssize_t)size;
}

/* Nothing more will come: the engine hangs up. */
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	(void)fds, (void)count, (void)timeout;
	shutdown(engine_fd, SHUT_RDWR);
	return 1;
}

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *rest)
{
	(void)wanted, (void)rest;
	return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	now_ns += 1000;
	now->tv_sec = now_ns / 1000000000;
	now->tv_nsec = now_ns % 1000000000;
	return 0;
}

static void say_nothing(const char *file, int line, const char *function, int err,
			const char *format, ...)
{
	(void)file, (void)line, (void)function, (void)err, (void)format;
}

static int configure(snd_pcm_t *pcm)
{
	static const snd_pcm_format_t formats[] = {
		SND_PCM_FORMAT_S16_LE, SND_PCM_FORMAT_S24_3LE, SND_PCM_FORMAT_S24_LE,
		SND_PCM_FORMAT_S32_LE, SND_PCM_FORMAT_FLOAT_LE,
	};
	snd_pcm_hw_params_t *hw;
	snd_pcm_sw_params_t *sw;
	snd_pcm_uframes_t boundary;

	snd_pcm_hw_params_alloca(&hw);
	snd_pcm_sw_params_alloca(&sw);
	if (snd_pcm_hw_params_any(pcm, hw) < 0)
		return -1;
	snd_pcm_hw_params_set_access(pcm, hw, take() & 1 ? SND_PCM_ACCESS_RW_INTERLEAVED
							 : SND_PCM_ACCESS_MMAP_INTERLEAVED);
	snd_pcm_hw_params_set_format(pcm, hw, formats[take() % 5]);
	snd_pcm_hw_params_set_channels(pcm, hw, 1 + take() % BUS_CHANNELS);
	if (take() & 1)
		snd_pcm_hw_params_set_buffer_size(pcm, hw, 16u << take() % 8);
	if (snd_pcm_hw_params(pcm, hw) < 0)
		return -1;
	if (snd_pcm_sw_params_current(pcm, sw) < 0)
		return -1;
	snd_pcm_sw_params_get_boundary(sw, &boundary);
	if (take() & 1)
		snd_pcm_sw_params_set_stop_threshold(pcm, sw, boundary);
	return snd_pcm_sw_params(pcm, sw);
}

static void transfer(snd_pcm_t *pcm)
{
	static char buffer[4096 * BUS_CHANNELS * 4];
	snd_pcm_uframes_t frames = take() * 16 + 1;
	const snd_pcm_channel_area_t *areas;
	snd_pcm_uframes_t offset, count = frames;

	if (snd_pcm_stream(pcm) == SND_PCM_STREAM_PLAYBACK && snd_pcm_writei(pcm, buffer, frames) != -EINVAL)
		return;
	if (snd_pcm_stream(pcm) == SND_PCM_STREAM_CAPTURE && snd_pcm_readi(pcm, buffer, frames) != -EINVAL)
		return;
	if (snd_pcm_avail_update(pcm) > 0 && snd_pcm_mmap_begin(pcm, &areas, &offset, &count) >= 0)
		snd_pcm_mmap_commit(pcm, offset, count);
}

static void poll_it(snd_pcm_t *pcm)
{
	struct pollfd fds[2];
	unsigned short events;

	if (snd_pcm_poll_descriptors(pcm, fds, 2) != 2)
		abort();
	fds[0].revents = fds[1].revents = POLLIN;
	snd_pcm_poll_descriptors_revents(pcm, fds, 2, &events);
}

static void store(void)
{
	uint8_t *page = take() & 1 || !memory ? clock_page : memory;
	size_t at = take() * 8 % 256;
	int64_t value = take_number(), old;

	if (!page)
		return;
	memcpy(&old, page + at, sizeof(old));
	if (take() & 1)
		value = (int64_t)((uint64_t)value + (uint64_t)old);
	memcpy(page + at, &value, sizeof(value));
}

static void send_event(void)
{
	struct aes67_msg_event event = {
		.magic = AES67_MESSAGE_MAGIC, .major = AES67_VERSION_MAJOR, .type = AES67_MSG_EVENT,
		.size = sizeof(event), .kind = take() % 4,
	};

	spoil(&event, sizeof(event));
	deliver(&event, sizeof(event), -1);
}

static void act(snd_pcm_t *pcm)
{
	snd_pcm_status_t *status;
	snd_pcm_sframes_t delay;

	snd_pcm_status_alloca(&status);
	switch (take() % 18) {
	case 0: snd_pcm_prepare(pcm); break;
	case 1: snd_pcm_start(pcm); break;
	case 2: snd_pcm_drop(pcm); break;
	case 3: snd_pcm_drain(pcm); break;
	case 4: snd_pcm_pause(pcm, (int)take() & 1); break;
	case 5: snd_pcm_avail_update(pcm); break;
	case 6: snd_pcm_delay(pcm, &delay); break;
	case 7: snd_pcm_status(pcm, status); break;
	case 8: snd_pcm_rewind(pcm, take()); break;
	case 9: snd_pcm_forward(pcm, take()); break;
	case 10: snd_pcm_reset(pcm); break;
	case 11: snd_pcm_hw_free(pcm); break;
	case 12: configure(pcm); break;
	case 13: poll_it(pcm); break;
	case 14: store(); break;
	case 15: now_ns += (int64_t)take() * 2000000; break;
	case 16: send_event(); break;
	default: transfer(pcm); break;
	}
}

static void run(void)
{
	snd_config_t *conf;
	snd_pcm_t *pcm;

	is_capture = (int)take() & 1;
	snd_config_top(&conf);
	snd_config_t *server, *grace;
	snd_config_imake_string(&server, "server", "fuzz");
	snd_config_imake_integer(&grace, "grace", take() & 1 ? 0 : 2000);
	snd_config_add(conf, server);
	snd_config_add(conf, grace);
	if (_snd_pcm_aes67_open(&pcm, "fuzz", NULL, conf, is_capture, SND_PCM_NONBLOCK) >= 0) {
		configure(pcm);
		while (left > 0)
			act(pcm);
		snd_pcm_close(pcm);
	}
	snd_config_delete(conf);
}

static int open_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 64; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before = open_descriptors();

	snd_lib_error_set_handler(say_nothing);
	next = data;
	left = size;
	now_ns = INT64_C(1000000000000);
	run();
	if (engine_fd >= 0)
		close(engine_fd);
	engine_fd = -1;
	if (memory)
		munmap(memory, memory_bytes);
	if (clock_page)
		munmap(clock_page, AES67_PAGE_BYTES);
	memory = clock_page = NULL;
	if (open_descriptors() != before)
		abort();
	return 0;
}
