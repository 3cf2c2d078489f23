/* LD_PRELOAD: gives an unmodified program a CLOCK_REALTIME of its own, whose true time is known.
 *
 * The oscillator is a law of the machine's clock t (which is only read, never set):
 *   O(t) = t + VCLOCK_OFFSET_NS + VCLOCK_PPM * 1e-6 * (t - zero)
 *        + VCLOCK_SINE_NS * sin(2 pi (t - zero) / VCLOCK_SINE_S) + step
 * with zero = VCLOCK_ZERO_NS and the step VCLOCK_STEP_NS from VCLOCK_STEP_AFTER_S seconds after
 * zero on. A program that disciplines it does so in segments, each written to VCLOCK_LOG as a line
 * "t v rate": from t on, V(t') = v + (O(t') - O(t)) * (1 + rate).
 *
 * A bad network, for a master: VCLOCK_LOSS is the share of its messages on port 320 (Follow_Up,
 * Delay_Resp, Announce) that are not sent, and a share VCLOCK_SPIKE of its timestamps is off as if
 * the packet had been delayed, exponentially with VCLOCK_SPIKE_NS on average. To a slave that is the
 * same as the network doing it, and no load of this machine changes it.
 *
 * VCLOCK_STAMPS names a file for a line "rx|tx fd t" of each stamp, t in the machine's time: what the
 * packets really took, whatever the clocks believed.
 *
 * Interposed: sendto, clock_gettime, clock_settime, clock_adjtime, adjtimex for CLOCK_REALTIME, and the
 * software timestamps in what recvmsg returns. For single-threaded programs.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL
#define KEPT 64
#define GENERAL_PORT 320
#ifndef SCM_TIMESTAMPING
#define SCM_TIMESTAMPING 37
#endif

struct segment {
	int64_t t, v;
	double rate;
};

static struct {
	int ready, log, stamps;
	int64_t zero, offset, step, step_at;
	double ppm, sine, period, loss, spike, spike_ns;
	struct segment kept[KEPT];
	unsigned count;
	long freq, tick;
} vc;

static int64_t whole(const char *name)
{
	const char *text = getenv(name);

	return text ? strtoll(text, NULL, 10) : 0;
}

static double real(const char *name)
{
	const char *text = getenv(name);

	return text ? strtod(text, NULL) : 0.0;
}

static int64_t machine_now(void)
{
	struct timespec now;

	syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
	return now.tv_sec * NS + now.tv_nsec;
}

static int64_t oscillator(int64_t t)
{
	double since = (double)(t - vc.zero);
	double drift = vc.ppm * 1e-6 * since;

	if (vc.period > 0)
		drift += vc.sine * sin(2 * M_PI * since * 1e-9 / vc.period);
	return t + vc.offset + (int64_t)llround(drift) + (t >= vc.step_at ? vc.step : 0);
}

static void begin_segment(int64_t t, int64_t v, double rate)
{
	struct segment *s = &vc.kept[vc.count % KEPT];

	s->t = t;
	s->v = v;
	s->rate = rate;
	vc.count++;
	if (vc.log >= 0)
		dprintf(vc.log, "%lld %lld %.17g\n", (long long)t, (long long)v, rate);
}

static void prepare(void)
{
	const char *log = getenv("VCLOCK_LOG"), *stamps = getenv("VCLOCK_STAMPS");
	int64_t now;

	if (vc.ready)
		return;
	vc.ready = 1;
	vc.log = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
	vc.stamps = stamps ? open(stamps, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
	vc.zero = whole("VCLOCK_ZERO_NS");
	vc.offset = whole("VCLOCK_OFFSET_NS");
	vc.step = whole("VCLOCK_STEP_NS");
	vc.step_at = vc.zero + (int64_t)(real("VCLOCK_STEP_AFTER_S") * NS);
	vc.ppm = real("VCLOCK_PPM");
	vc.sine = real("VCLOCK_SINE_NS");
	vc.period = real("VCLOCK_SINE_S");
	vc.loss = real("VCLOCK_LOSS");
	vc.spike = real("VCLOCK_SPIKE");
	vc.spike_ns = real("VCLOCK_SPIKE_NS");
	srand48(1);
	vc.tick = 1000000 / sysconf(_SC_CLK_TCK);
	now = machine_now();
	begin_segment(now, oscillator(now), 0.0);
}

static int64_t virtual_at(int64_t t)
{
	const struct segment *s = NULL;
	unsigned back;

	prepare();
	for (back = 1; back <= KEPT && back <= vc.count; back++) {
		s = &vc.kept[(vc.count - back) % KEPT];
		if (s->t <= t)
			break;
	}
	int64_t gained = oscillator(t) - oscillator(s->t);

	return s->v + gained + (int64_t)llround(s->rate * (double)gained);
}

static double rate_in_force(void)
{
	long nominal = 1000000 / sysconf(_SC_CLK_TCK);

	return (double)(vc.tick - nominal) / nominal + vc.freq / 65536.0 * 1e-6;
}

int clock_gettime(clockid_t id, struct timespec *out)
{
	if (id != CLOCK_REALTIME) {
		if (syscall(SYS_clock_gettime, id, out))
			return -1;
		return 0;
	}
	int64_t v = virtual_at(machine_now());

	out->tv_sec = v / NS;
	out->tv_nsec = v % NS;
	return 0;
}

int clock_settime(clockid_t id, const struct timespec *in)
{
	if (id != CLOCK_REALTIME) {
		errno = EPERM;
		return -1;
	}
	prepare();
	begin_segment(machine_now(), in->tv_sec * NS + in->tv_nsec, rate_in_force());
	return 0;
}

int clock_adjtime(clockid_t id, struct timex *tx)
{
	unsigned modes = tx->modes;
	int64_t now, v;

	if (id != CLOCK_REALTIME) {
		errno = EINVAL;
		return -1;
	}
	prepare();
	now = machine_now();
	v = virtual_at(now);
	if (modes & ADJ_SETOFFSET)
		v += tx->time.tv_sec * NS + tx->time.tv_usec * (modes & ADJ_NANO ? 1 : 1000);
	if (modes & ADJ_FREQUENCY)
		vc.freq = tx->freq;
	if (modes & ADJ_TICK)
		vc.tick = tx->tick;
	if (modes & (ADJ_SETOFFSET | ADJ_FREQUENCY | ADJ_TICK))
		begin_segment(now, v, rate_in_force());
	memset(tx, 0, sizeof(*tx));
	tx->modes = modes;
	tx->freq = vc.freq;
	tx->tick = vc.tick;
	tx->tolerance = 500 << 16;
	tx->precision = 1;
	tx->time.tv_sec = v / NS;
	tx->time.tv_usec = v % NS / 1000;
	return TIME_OK;
}

int adjtimex(struct timex *tx)
{
	return clock_adjtime(CLOCK_REALTIME, tx);
}

static int64_t late(void)
{
	if (vc.spike <= 0 || drand48() >= vc.spike)
		return 0;
	return (int64_t)(-log(1.0 - drand48()) * vc.spike_ns);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to,
	       socklen_t to_size)
{
	static ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);

	if (!next)
		next = (ssize_t(*)(int, const void *, size_t, int, const struct sockaddr *,
				   socklen_t))dlsym(RTLD_NEXT, "sendto");
	prepare();
	if (vc.loss > 0 && to && to->sa_family == AF_INET &&
	    ((const struct sockaddr_in *)to)->sin_port == htons(GENERAL_PORT) &&
	    drand48() < vc.loss)
		return (ssize_t)size;
	return next(fd, data, size, flags, to, to_size);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	static ssize_t (*next)(int, struct msghdr *, int);
	struct cmsghdr *c;
	ssize_t got;

	if (!next)
		next = (ssize_t (*)(int, struct msghdr *, int))dlsym(RTLD_NEXT, "recvmsg");
	got = next(fd, msg, flags);
	if (got < 0)
		return got;
	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		struct timespec stamp;
		int64_t t, v;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPING)
			continue;
		memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
		if (!stamp.tv_sec && !stamp.tv_nsec)
			continue;
		prepare();
		t = stamp.tv_sec * NS + stamp.tv_nsec;
		if (vc.stamps >= 0)
			dprintf(vc.stamps, "%s %d %lld\n", flags & MSG_ERRQUEUE ? "tx" : "rx", fd,
				(long long)t);
		v = virtual_at(t);
		/* what leaves late was sent earlier, what comes late is received later */
		v += (flags & MSG_ERRQUEUE ? -1 : 1) * late();
		stamp.tv_sec = v / NS;
		stamp.tv_nsec = v % NS;
		memcpy(CMSG_DATA(c), &stamp, sizeof(stamp));
	}
	return got;
}
