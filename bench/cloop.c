/* SPDX-License-Identifier: Apache-2.0
 *
 * The yardstick: what a careful C programmer's media loop costs. Frozen, so that ratios of different
 * days compare. Each tick it does what the engine's tick does for the same streams: sleep to an
 * absolute time, read interleaved int32 rings, convert to L24, one sendmmsg (or: recvmmsg, parse,
 * look the destination up, convert into planar int32 rings, mark what came). It has no clock
 * page, no clients, no counters beyond packets: those are what the engine's ratio pays for.
 *
 *   cloop send    IFNAME STREAMS CHANNELS FRAMES RATE SECONDS PRIORITY RING_CHANNELS
 *   cloop receive IFNAME STREAMS CHANNELS FRAMES RATE SECONDS PRIORITY
 *
 * Stream i goes to 239.77.0.(i+1):5004 with payload type 98. Prints one JSON line.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_STREAMS 64
#define MAX_CHANNELS 64
#define RING_FRAMES 8192
#define DATAGRAM 1500
#define GROUP_BASE 0xEF4D0001u
#define PORT 5004
#define CONTROL_BYTES 128

struct settings {
	const char *ifname;
	int streams, channels, frames, rate, seconds, priority, ring_channels;
};

struct batch {
	struct mmsghdr messages[MAX_STREAMS];
	struct iovec vectors[MAX_STREAMS];
	struct sockaddr_in addresses[MAX_STREAMS];
	_Alignas(16) uint8_t control[MAX_STREAMS][CONTROL_BYTES];
	uint8_t data[MAX_STREAMS][DATAGRAM];
};

static struct batch batch;

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sleep_until(int64_t ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int open_socket(const struct settings *s)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int on = 1, size = 8 << 20;
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	struct ip_mreqn interface = { .imr_ifindex = (int)if_nametoindex(s->ifname) };
	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, s->ifname, strlen(s->ifname)) < 0)
		die(s->ifname);
	if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &interface, sizeof interface) < 0)
		die("IP_MULTICAST_IF");
	if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0)
		die("bind");
	return fd;
}

static void add_int(struct msghdr *m, struct cmsghdr **c, int type, int value)
{
	(*c)->cmsg_level = IPPROTO_IP;
	(*c)->cmsg_type = type;
	(*c)->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(*c), &value, sizeof value);
	m->msg_controllen += CMSG_SPACE(sizeof(int));
	*c = (struct cmsghdr *)((uint8_t *)*c + CMSG_SPACE(sizeof(int)));
}

static void prepare_send(const struct settings *s)
{
	for (int i = 0; i < s->streams; i++) {
		struct msghdr *m = &batch.messages[i].msg_hdr;
		struct cmsghdr *c = (struct cmsghdr *)batch.control[i];
		batch.addresses[i] = (struct sockaddr_in){ .sin_family = AF_INET,
			.sin_port = htons(PORT), .sin_addr.s_addr = htonl(GROUP_BASE + i) };
		batch.vectors[i] = (struct iovec){ batch.data[i], 12 + (size_t)s->frames * s->channels * 3 };
		*m = (struct msghdr){ .msg_name = &batch.addresses[i], .msg_namelen = sizeof(struct sockaddr_in),
			.msg_iov = &batch.vectors[i], .msg_iovlen = 1, .msg_control = batch.control[i] };
		add_int(m, &c, IP_TTL, 15);
		add_int(m, &c, IP_TOS, 34 << 2);
	}
}

static void put_be32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}

static void packetize(const struct settings *s, const int32_t *ring, int stream, int64_t packet)
{
	uint8_t *p = batch.data[stream];
	int64_t frame = packet * s->frames;
	p[0] = 0x80;
	p[1] = 98;
	p[2] = (uint8_t)(packet >> 8);
	p[3] = (uint8_t)packet;
	put_be32(p + 4, (uint32_t)frame);
	put_be32(p + 8, 0x12340000u + (uint32_t)stream);
	p += 12;
	for (int f = 0; f < s->frames; f++) {
		const int32_t *in = ring + ((frame + f) & (RING_FRAMES - 1)) * s->ring_channels;
		for (int c = 0; c < s->channels; c++, p += 3)
			put_be32(p, (uint32_t)in[c]); /* the fourth byte is overwritten by the next sample */
	}
}

static void report(const char *mode, const struct settings *s, int64_t packets, int64_t cpu, int64_t calls)
{
	printf("{\"mode\": \"%s\", \"streams\": %d, \"channels\": %d, \"packets\": %lld, \"calls\": %lld, "
		"\"cpu_ns\": %lld, \"ns_per_packet\": %.1f}\n", mode, s->streams, s->channels,
		(long long)packets, (long long)calls, (long long)cpu,
		packets ? (double)cpu / (double)packets : 0.0);
}

static void run_send(const struct settings *s)
{
	int fd = open_socket(s);
	int pcms = (s->streams * s->channels + s->ring_channels - 1) / s->ring_channels;
	size_t words = (size_t)RING_FRAMES * s->ring_channels;
	int32_t *rings = malloc(words * pcms * sizeof(int32_t));
	int64_t packets = 0, calls = 0, tick = (int64_t)s->frames * 1000000000 / s->rate;
	for (size_t i = 0; i < words * pcms; i++)
		rings[i] = (int32_t)(i * 2654435761u);
	prepare_send(s);
	int64_t number = now_ns(CLOCK_MONOTONIC) / tick + 1;
	int64_t end = number + (int64_t)s->seconds * 1000000000 / tick;
	int64_t cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
	for (; number < end; number++) {
		sleep_until(number * tick);
		for (int i = 0; i < s->streams; i++) {
			int first = i * s->channels;
			const int32_t *ring = rings + words * (first / s->ring_channels) + first % s->ring_channels;
			packetize(s, ring, i, number);
		}
		for (int done = 0; done < s->streams; calls++) {
			int sent = sendmmsg(fd, batch.messages + done, (unsigned)(s->streams - done), 0);
			if (sent <= 0)
				break;
			done += sent;
			packets += sent;
		}
	}
	report("send", s, packets, now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu, calls);
}

static void join_groups(const struct settings *s)
{
	for (int i = 0; i < s->streams; i += 16) {
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		for (int g = i; g < i + 16 && g < s->streams; g++) {
			struct ip_mreqn m = { .imr_multiaddr.s_addr = htonl(GROUP_BASE + g),
				.imr_ifindex = (int)if_nametoindex(s->ifname) };
			if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m) < 0)
				die("IP_ADD_MEMBERSHIP");
		}
	}
}

static uint32_t destination(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			return ntohl(((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr.s_addr);
	return 0;
}

static int depacketize(const struct settings *s, int32_t *rings, uint8_t *marks, int slot)
{
	uint32_t stream = destination(&batch.messages[slot].msg_hdr) - GROUP_BASE;
	const uint8_t *p = batch.data[slot];
	unsigned length = batch.messages[slot].msg_len;
	if (stream >= (uint32_t)s->streams || length < 12 || p[0] != 0x80 || (p[1] & 0x7f) != 98)
		return 0;
	uint32_t timestamp;
	memcpy(&timestamp, p + 4, 4);
	timestamp = __builtin_bswap32(timestamp);
	int frames = (int)(length - 12) / (s->channels * 3);
	int32_t *row = rings + (size_t)stream * s->channels * RING_FRAMES;
	for (int c = 0; c < s->channels; c++) {
		const uint8_t *in = p + 12 + c * 3;
		for (int f = 0; f < frames; f++, in += s->channels * 3)
			row[(size_t)c * RING_FRAMES + ((timestamp + (uint32_t)f) & (RING_FRAMES - 1))] =
				(int32_t)((uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8);
	}
	for (int f = 0; f < frames; f++)
		marks[stream * RING_FRAMES + ((timestamp + (uint32_t)f) & (RING_FRAMES - 1))] = 1;
	return 1;
}

static void run_receive(const struct settings *s)
{
	int fd = open_socket(s);
	int32_t *rings = calloc((size_t)s->streams * s->channels * RING_FRAMES, sizeof(int32_t));
	uint8_t *marks = calloc((size_t)s->streams * RING_FRAMES, 1);
	int64_t packets = 0, calls = 0, tick = (int64_t)s->frames * 1000000000 / s->rate;
	join_groups(s);
	for (int i = 0; i < MAX_STREAMS; i++) {
		batch.vectors[i] = (struct iovec){ batch.data[i], DATAGRAM };
		batch.messages[i].msg_hdr = (struct msghdr){ .msg_name = &batch.addresses[i],
			.msg_iov = &batch.vectors[i], .msg_iovlen = 1, .msg_control = batch.control[i] };
	}
	int64_t number = now_ns(CLOCK_MONOTONIC) / tick + 1;
	int64_t end = number + (int64_t)s->seconds * 1000000000 / tick;
	int64_t cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
	for (; number < end; number++) {
		sleep_until(number * tick);
		for (;;) {
			for (int i = 0; i < MAX_STREAMS; i++) {
				batch.messages[i].msg_hdr.msg_namelen = sizeof(struct sockaddr_in);
				batch.messages[i].msg_hdr.msg_controllen = CONTROL_BYTES;
			}
			int got = recvmmsg(fd, batch.messages, MAX_STREAMS, MSG_DONTWAIT, NULL);
			calls++;
			for (int i = 0; i < got; i++)
				packets += depacketize(s, rings, marks, i);
			if (got < MAX_STREAMS)
				break;
		}
	}
	report("receive", s, packets, now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu, calls);
}

int main(int argc, char **argv)
{
	struct settings s = { 0 };
	if (argc < 9 || (strcmp(argv[1], "send") && strcmp(argv[1], "receive"))) {
		fprintf(stderr, "usage: cloop send|receive IFNAME STREAMS CHANNELS FRAMES RATE SECONDS PRIORITY [RING_CHANNELS]\n");
		return 2;
	}
	s.ifname = argv[2];
	s.streams = atoi(argv[3]);
	s.channels = atoi(argv[4]);
	s.frames = atoi(argv[5]);
	s.rate = atoi(argv[6]);
	s.seconds = atoi(argv[7]);
	s.priority = atoi(argv[8]);
	s.ring_channels = argc > 9 ? atoi(argv[9]) : s.channels;
	if (s.streams < 1 || s.streams > MAX_STREAMS || s.channels < 1 || s.channels > MAX_CHANNELS ||
		s.frames < 1 || 12 + s.frames * s.channels * 3 > DATAGRAM - 4 || s.rate < 1 ||
		s.ring_channels < s.channels || s.ring_channels % s.channels) {
		fprintf(stderr, "cloop: a stream's payload must fit 1484 bytes; 1 to 64 streams and channels\n");
		return 2;
	}
	mlockall(MCL_CURRENT);
	struct sched_param p = { .sched_priority = s.priority };
	if (s.priority > 0 && sched_setscheduler(0, SCHED_FIFO, &p) < 0)
		perror("SCHED_FIFO");
	if (!strcmp(argv[1], "send"))
		run_send(&s);
	else
		run_receive(&s);
	return 0;
}
