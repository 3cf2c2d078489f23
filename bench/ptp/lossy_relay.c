/* Forwards Ethernet frames between two interfaces, losing and delaying some:
 *
 *   lossy_relay IF IF LOSS SPIKE MEAN_US SEED
 *
 * LOSS and SPIKE are shares of the frames from 0 to 1; a spike is exponential with MEAN_US.
 * PACKET_VNET_HDR carries unfinished checksums along.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <math.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_on(const char *name)
{
	struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW, 0);

	where.sll_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || !where.sll_ifindex ||
	    setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&where, sizeof(where))) {
		perror(name);
		exit(1);
	}
	return fd;
}

static void forward(int from, int to, double loss, double spike, double mean_us)
{
	static char frame[70000];
	struct sockaddr_ll source;
	socklen_t size = sizeof(source);
	ssize_t got = recvfrom(from, frame, sizeof(frame), 0, (struct sockaddr *)&source, &size);

	if (got <= 0 || source.sll_pkttype == PACKET_OUTGOING || drand48() < loss)
		return;
	if (drand48() < spike)
		usleep((useconds_t)(-log(1.0 - drand48()) * mean_us));
	if (send(to, frame, (size_t)got, 0) < 0)
		perror("send");
}

int main(int argc, char **argv)
{
	if (argc != 7)
		return 2;
	/* it stands for a network, which does not wait for the programs of this machine */
	struct sched_param first = {.sched_priority = 50};
	sched_setscheduler(0, SCHED_FIFO, &first);
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	srand48(atol(argv[6]));
	int a = open_on(argv[1]), b = open_on(argv[2]);
	double loss = atof(argv[3]), spike = atof(argv[4]), mean_us = atof(argv[5]);
	struct pollfd waiting[] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};

	while (poll(waiting, 2, -1) >= 0) {
		if (waiting[0].revents)
			forward(a, b, loss, spike, mean_us);
		if (waiting[1].revents)
			forward(b, a, loss, spike, mean_us);
	}
	return 1;
}
