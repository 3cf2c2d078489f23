/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#define _GNU_SOURCE
#include "link.h"
#include "grant.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONTROL_TIMEOUT_MS 500
#define DESCRIPTORS_MAX 4

/* One received message. Every message starts like msg_event, without its kind. */
struct message {
	union {
		struct aes67_msg_event head;
		struct aes67_msg_caps caps;
		struct aes67_msg_stream stream;
		struct aes67_msg_event event;
		struct aes67_msg_ctl ctl;
		uint8_t bytes[512];
	};
	size_t size;
	int fd; /* that came with it, or -1 */
};

#define HEAD_BYTES offsetof(struct aes67_msg_event, kind)

void link_init(struct link *link)
{
	memset(link, 0, sizeof(*link));
	link->fd = -1;
}

void link_close(struct link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	grant_unmap(&link->clock);
	grant_unmap(&link->memory);
	link_init(link);
}

/* Fill the head and send. */
static int send_message(struct link *link, void *message, uint32_t type, uint32_t size)
{
	struct aes67_msg_event head = {
		.magic = AES67_MESSAGE_MAGIC,
		.major = AES67_VERSION_MAJOR,
		.minor = AES67_VERSION_MINOR,
		.type = type,
		.size = size,
		.serial = ++link->serial,
	};
	ssize_t sent;

	memcpy(message, &head, HEAD_BYTES);
	do {
		sent = send(link->fd, message, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* Keep the first descriptor of the ancillary data, close all others. */
static int take_descriptor(struct msghdr *header)
{
	int kept = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (kept < 0)
				kept = fd;
			else
				close(fd);
		}
	}
	return kept;
}

/* 1: a message with a sound head; 0: nothing there; -errno. */
static int receive(struct link *link, struct message *m)
{
	union {
		char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { m->bytes, sizeof(m->bytes) };
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t size;

	memset(m->bytes, 0, sizeof(m->bytes));
	m->fd = -1;
	do {
		size = recvmsg(link->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (size < 0 && errno == EINTR);
	if (size < 0)
		return errno == EAGAIN ? 0 : -errno;
	m->fd = take_descriptor(&header);
	m->size = (size_t)size;
	if (m->size >= HEAD_BYTES && m->head.magic == AES67_MESSAGE_MAGIC &&
	    m->head.major == AES67_VERSION_MAJOR)
		return 1;
	if (m->fd >= 0)
		close(m->fd); /* an empty message can carry one too */
	return size == 0 ? -ENODEV : -EPROTO;
}

int link_connect(struct link *link, const char *path, const struct aes67_msg_hello *hello)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct aes67_msg_hello message = *hello;
	int err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	link->is_capture = hello->direction == AES67_CAPTURE;
	link->first = hello->first;
	link->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (link->fd < 0)
		return -errno;
	if (connect(link->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		err = -errno;
	else
		err = send_message(link, &message, AES67_MSG_HELLO, sizeof(message));
	if (err < 0) {
		link_close(link);
		return err;
	}
	link->stage = LINK_HELLO;
	return 0;
}

int link_setup(struct link *link, const struct aes67_msg_setup *setup)
{
	int err;

	grant_unmap(&link->memory);
	link->setup = *setup;
	err = send_message(link, &link->setup, AES67_MSG_SETUP, sizeof(link->setup));
	if (err < 0)
		return err;
	link->stage = LINK_SETUP;
	return 0;
}

void link_free(struct link *link)
{
	struct aes67_msg_event message = { .magic = 0 };

	if (link->stage == LINK_UP || link->stage == LINK_SETUP) {
		send_message(link, &message, AES67_MSG_FREE, sizeof(message));
		link->stage = LINK_READY;
	}
	grant_unmap(&link->memory);
}

/* A reply's refusal as -errno, whatever number stands there. */
static int refusal(const struct message *m)
{
	int status = m->head.status;

	return status < 0 && status > -4096 ? status : -EPROTO;
}

static int take_reply(struct link *link, const struct message *m)
{
	bool is_caps = link->stage == LINK_HELLO && m->head.type == AES67_MSG_CAPS;
	bool is_stream = link->stage == LINK_SETUP && m->head.type == AES67_MSG_STREAM;

	if (m->head.serial != link->serial || !(is_caps || is_stream))
		return 0; /* of a request given up: ignore */
	if (m->head.status)
		return refusal(m);
	if (m->size < (is_caps ? sizeof(m->caps) : sizeof(m->stream)))
		return -EPROTO;
	return is_caps ? grant_caps(link, &m->caps, m->fd) : grant_stream(link, &m->stream, m->fd);
}

static unsigned int event_of(const struct message *m)
{
	if (m->head.type != AES67_MSG_EVENT || m->size < sizeof(m->event))
		return 0;
	if (m->event.kind == AES67_EVENT_RECONFIGURED)
		return LINK_EVENT_RECONFIGURED;
	return m->event.kind == AES67_EVENT_CONTROL ? LINK_EVENT_CONTROL : 0;
}

int link_step(struct link *link)
{
	struct message m;
	int got;

	while ((got = receive(link, &m)) > 0) {
		int err = take_reply(link, &m);

		link->pending |= event_of(&m);
		if (m.fd >= 0)
			close(m.fd);
		if (err < 0)
			return err;
		if (link->stage == LINK_READY || link->stage == LINK_UP)
			return 0;
	}
	return got;
}

static int64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Wait for something to read: 0, -errno. */
static int wait_readable(struct link *link, int64_t deadline_ms)
{
	struct pollfd pfd = { .fd = link->fd, .events = POLLIN };
	int64_t left = deadline_ms - monotonic_ms();
	int ready;

	if (left <= 0)
		return -ETIMEDOUT;
	ready = poll(&pfd, 1, (int)left);
	if (ready < 0 && errno != EINTR)
		return -errno;
	return 0;
}

int link_wait(struct link *link, enum link_stage stage, int timeout_ms)
{
	int64_t deadline = monotonic_ms() + timeout_ms;

	for (;;) {
		int err = link_step(link);

		if (err == 0 && link->stage == stage)
			return 0;
		if (err == 0)
			err = wait_readable(link, deadline);
		if (err < 0)
			return err;
	}
}

unsigned int link_events(struct link *link)
{
	unsigned int events = link->pending;
	struct message m;
	int got;

	link->pending = 0;
	if (link->fd < 0)
		return LINK_EVENT_GONE;
	while ((got = receive(link, &m)) > 0) {
		if (m.fd >= 0)
			close(m.fd);
		events |= event_of(&m);
	}
	return got < 0 ? events | LINK_EVENT_GONE : events;
}

int link_control(struct link *link, uint32_t type, uint32_t element, int64_t *value,
		 unsigned int *events)
{
	struct aes67_msg_ctl request = { .element = element, .value = *value };
	int64_t deadline = monotonic_ms() + CONTROL_TIMEOUT_MS;
	int err = send_message(link, &request, type, sizeof(request));

	while (err == 0) {
		struct message m;
		int got = receive(link, &m);

		if (got < 0)
			return got;
		if (got == 0) {
			err = wait_readable(link, deadline);
			continue;
		}
		if (m.fd >= 0)
			close(m.fd);
		*events |= event_of(&m);
		if (m.head.type != AES67_MSG_CTL_VALUE || m.head.serial != link->serial)
			continue;
		if (m.head.status)
			return refusal(&m);
		if (m.size < sizeof(m.ctl) || m.ctl.element != element)
			return -EPROTO;
		*value = m.ctl.value;
		return 0;
	}
	return err;
}

void link_orphan(struct link *link, int idle_fd)
{
	if (link->fd >= 0)
		dup3(idle_fd, link->fd, O_CLOEXEC);
	link->stage = LINK_CLOSED;
}

int link_replace(struct link *old, struct link *new)
{
	int number = old->fd;

	if (number >= 0) {
		if (dup3(new->fd, number, O_CLOEXEC) < 0)
			return -errno;
		close(new->fd);
		new->fd = number;
		old->fd = -1;
	}
	link_close(old);
	*old = *new;
	link_init(new);
	return 0;
}
