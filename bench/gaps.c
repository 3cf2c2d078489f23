/* SPDX-License-Identifier: Apache-2.0
 *
 * Judge of pacing: receives the groups 239.77.0.1.. on an interface and prints the distribution of the
 * gaps between successive packets of one stream, by the kernel's receive time stamps.
 *
 *   gaps IFNAME STREAMS SECONDS
 *
 * Prints one JSON line: nanoseconds p50, p99, p999, max over all streams, packets, and lost packets
 * by sequence number.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GROUP_BASE 0xEF4D0001u
#define PORT 5004
#define MAX_STREAMS 64

static int open_receiver(const char *ifname)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1, size = 16 << 20;
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
	setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ifname, strlen(ifname));
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0) {
		perror("bind");
		exit(1);
	}
	return fd;
}

static void join(const char *ifname, int streams)
{
	for (int i = 0; i < streams; i += 16) {
		int fd = socket(AF_INET, SOCK_DGRAM, 0);
		for (int g = i; g < i + 16 && g < streams; g++) {
			struct ip_mreqn m = { .imr_multiaddr.s_addr = htonl(GROUP_BASE + g),
				.imr_ifindex = (int)if_nametoindex(ifname) };
			if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m) < 0)
				perror("IP_ADD_MEMBERSHIP");
		}
	}
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: gaps IFNAME STREAMS SECONDS\n");
		return 2;
	}
	int streams = atoi(argv[2]), seconds = atoi(argv[3]);
	int64_t last[MAX_STREAMS] = { 0 }, capacity = (int64_t)streams * seconds * 9000, count = 0, lost = 0;
	int sequence[MAX_STREAMS];
	int64_t *gaps = malloc(sizeof(int64_t) * (size_t)capacity);
	int fd = open_receiver(argv[1]);
	join(argv[1], streams);
	memset(sequence, -1, sizeof sequence);
	for (time_t end = time(NULL) + seconds; time(NULL) < end && count < capacity;) {
		uint8_t data[2048];
		_Alignas(16) uint8_t control[256];
		struct iovec vector = { data, sizeof data };
		struct msghdr m = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
			.msg_controllen = sizeof control };
		struct pollfd ready = { fd, POLLIN, 0 };
		if (poll(&ready, 1, 200) <= 0)
			continue;
		ssize_t length = recvmsg(fd, &m, 0);
		int64_t stamp = 0;
		uint32_t stream = MAX_STREAMS;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
			if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
				struct timespec t;
				memcpy(&t, CMSG_DATA(c), sizeof t);
				stamp = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
			} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
				stream = ntohl(((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr.s_addr) - GROUP_BASE;
			}
		}
		if (length < 12 || stream >= (uint32_t)streams)
			continue;
		int number = data[2] << 8 | data[3];
		if (sequence[stream] >= 0)
			lost += (uint16_t)(number - sequence[stream] - 1);
		if (last[stream])
			gaps[count++] = stamp - last[stream];
		sequence[stream] = number;
		last[stream] = stamp;
	}
	qsort(gaps, (size_t)count, sizeof(int64_t), compare);
	if (count == 0) {
		printf("{\"packets\": 0}\n");
		return 1;
	}
	printf("{\"packets\": %lld, \"lost\": %lld, \"p50_ns\": %lld, \"p99_ns\": %lld, \"p999_ns\": %lld, \"max_ns\": %lld}\n",
		(long long)count, (long long)lost, (long long)gaps[count / 2], (long long)gaps[count * 99 / 100],
		(long long)gaps[count * 999 / 1000], (long long)gaps[count - 1]);
	return 0;
}
