/* LD_PRELOAD: gives a program a network card with a clock of its own, /dev/ptp0, that is not there.
 *
 * The clock is a law of CLOCK_REALTIME, PHC_EPOCH_NS + (real - PHC_BASE_NS) * (1 + PHC_PPM/10^6), and
 * cannot be set: adjustments are taken and ignored. Stamps "of the card" are the kernel's software
 * stamps of a veth, told in that clock. What this is not: stamps taken at the wire, with their
 * precision, or the quirks of a driver. While the file PHC_MUTE exists no stamp of the card comes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/ptp_clock.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define FDS 4096
#define NS 1000000000LL
#define CARD (SOF_TIMESTAMPING_TX_HARDWARE | SOF_TIMESTAMPING_RX_HARDWARE | \
              SOF_TIMESTAMPING_RAW_HARDWARE | SOF_TIMESTAMPING_OPT_TX_SWHW)

static char is_phc[FDS];
static unsigned asked[FDS];
static struct {
    int size;
    char control[512];
} second[FDS];
static struct hwtstamp_config settings;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static long long number(const char *name)
{
    const char *text = getenv(name);
    return text ? atoll(text) : 0;
}

static long long law(long long real_ns)
{
    static long long base, epoch;
    static double rate;
    if (!base) {
        base = number("PHC_BASE_NS");
        epoch = number("PHC_EPOCH_NS");
        rate = atof(getenv("PHC_PPM")) * 1e-6;
    }
    long long span = real_ns - base;
    return epoch + span + (long long)(span * rate);
}

static int mute(void)
{
    const char *path = getenv("PHC_MUTE");
    return path && access(path, F_OK) == 0;
}

static long long now(clockid_t clock)
{
    struct timespec t;
    REAL(clock_gettime)(clock, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

static struct timespec as_timespec(long long ns)
{
    return (struct timespec){ ns / NS, ns % NS };
}

static int phc_of(clockid_t clock)
{
    int fd = ~(clock >> 3);
    return clock < 0 && (clock & 7) == 3 && fd >= 0 && fd < FDS && is_phc[fd];
}

static int opened(const char *path, int fd)
{
    if (fd >= 0 && fd < FDS)
        is_phc[fd] = strcmp(path, "/dev/ptp0") == 0;
    return fd;
}

static const char *stand_in(const char *path)
{
    return strcmp(path, "/dev/ptp0") ? path : "/dev/null";
}

static mode_t mode_of(int flags, va_list list)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        va_list list; \
        va_start(list, flags); \
        mode_t mode = mode_of(flags, list); \
        va_end(list); \
        return opened(path, REAL(name)(stand_in(path), flags, mode)); \
    }
OPEN(open)
OPEN(open64)

int close(int fd)
{
    if (fd >= 0 && fd < FDS) {
        is_phc[fd] = 0;
        asked[fd] = 0;
        second[fd].size = 0;
    }
    return REAL(close)(fd);
}

static void put(struct ptp_clock_time *where, long long ns)
{
    where->sec = ns / NS;
    where->nsec = ns % NS;
}

static int phc_ioctl(unsigned long request, void *data)
{
    if (_IOC_NR(request) == _IOC_NR(PTP_CLOCK_GETCAPS)) {
        struct ptp_clock_caps *caps = data;
        memset(caps, 0, sizeof *caps);
        caps->max_adj = 100000000;
        return 0;
    }
    if (request == PTP_SYS_OFFSET_EXTENDED) {
        struct ptp_sys_offset_extended *offsets = data;
        clockid_t clock = (clockid_t)offsets->rsv[0];
        for (unsigned i = 0; i < offsets->n_samples; i++) {
            put(&offsets->ts[i][0], now(clock));
            put(&offsets->ts[i][1], law(now(CLOCK_REALTIME)));
            put(&offsets->ts[i][2], now(clock));
        }
        return 0;
    }
    errno = EOPNOTSUPP;
    return -1;
}

static int card_ioctl(unsigned long request, struct ifreq *asking)
{
    void *data = asking->ifr_data;
    if (request == SIOCSHWTSTAMP) {
        memcpy(&settings, data, sizeof settings);
        return 0;
    }
    if (request == SIOCGHWTSTAMP) {
        if (getenv("PHC_ENABLED"))
            settings = (struct hwtstamp_config){ 0, HWTSTAMP_TX_ON, HWTSTAMP_FILTER_PTP_V2_EVENT };
        memcpy(data, &settings, sizeof settings);
        return 0;
    }
    struct ethtool_ts_info *info = data;
    memset(info, 0, sizeof *info);
    info->cmd = ETHTOOL_GET_TS_INFO;
    info->so_timestamping = CARD | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE |
                            SOF_TIMESTAMPING_SOFTWARE;
    info->so_timestamping &= ~SOF_TIMESTAMPING_OPT_TX_SWHW;
    info->tx_types = 1 << HWTSTAMP_TX_OFF | 1 << HWTSTAMP_TX_ON;
    info->rx_filters = 1 << HWTSTAMP_FILTER_NONE | 1 << HWTSTAMP_FILTER_PTP_V2_EVENT;
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *data = va_arg(list, void *);
    va_end(list);
    if (fd >= 0 && fd < FDS && is_phc[fd])
        return phc_ioctl(request, data);
    if (request == SIOCSHWTSTAMP || request == SIOCGHWTSTAMP)
        return card_ioctl(request, data);
    if (request == SIOCETHTOOL && *(__u32 *)((struct ifreq *)data)->ifr_data == ETHTOOL_GET_TS_INFO)
        return card_ioctl(request, data);
    return REAL(ioctl)(fd, request, data);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    if (level == SOL_SOCKET && name == SO_TIMESTAMPING && fd >= 0 && fd < FDS && size >= 4) {
        unsigned flags = *(const unsigned *)value;
        asked[fd] = flags;
        if (flags & CARD) {
            flags &= ~CARD;
            if (asked[fd] & SOF_TIMESTAMPING_TX_HARDWARE)
                flags |= SOF_TIMESTAMPING_TX_SOFTWARE;
            if (asked[fd] & SOF_TIMESTAMPING_RX_HARDWARE)
                flags |= SOF_TIMESTAMPING_RX_SOFTWARE;
            flags |= SOF_TIMESTAMPING_SOFTWARE;
        }
        return REAL(setsockopt)(fd, level, name, &flags, sizeof flags);
    }
    return REAL(setsockopt)(fd, level, name, value, size);
}

static struct timespec *stamps(struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPING)
            return (struct timespec *)CMSG_DATA(c);
    return NULL;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    if (fd < 0 || fd >= FDS || !(asked[fd] & SOF_TIMESTAMPING_RAW_HARDWARE))
        return REAL(recvmsg)(fd, message, flags);
    if (flags & MSG_ERRQUEUE && second[fd].size) {
        /* the card's stamp of the message whose software stamp was handed out before */
        memcpy(message->msg_control, second[fd].control, second[fd].size);
        message->msg_controllen = second[fd].size;
        message->msg_flags = MSG_ERRQUEUE;
        second[fd].size = 0;
        return 0;
    }
    ssize_t got = REAL(recvmsg)(fd, message, flags);
    struct timespec *ts = got >= 0 ? stamps(message) : NULL;
    if (!ts || !ts[0].tv_sec)
        return got;
    struct timespec software = ts[0], none = { 0, 0 };
    struct timespec card = as_timespec(law(software.tv_sec * NS + software.tv_nsec));
    if (!(asked[fd] & SOF_TIMESTAMPING_SOFTWARE))
        ts[0] = none;
    if (mute())
        return got;
    if (flags & MSG_ERRQUEUE && asked[fd] & SOF_TIMESTAMPING_OPT_TX_SWHW) {
        ts[0] = none;
        ts[2] = card;
        if (message->msg_controllen <= sizeof second[fd].control) {
            memcpy(second[fd].control, message->msg_control, message->msg_controllen);
            second[fd].size = (int)message->msg_controllen;
        }
        ts[0] = software;
        ts[2] = none;
        return got;
    }
    ts[2] = card;
    return got;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    if (!phc_of(clock))
        return REAL(clock_gettime)(clock, t);
    *t = as_timespec(law(now(CLOCK_REALTIME)));
    return 0;
}

int clock_settime(clockid_t clock, const struct timespec *t)
{
    return phc_of(clock) ? 0 : REAL(clock_settime)(clock, t);
}

int clock_adjtime(clockid_t clock, struct timex *change)
{
    if (!phc_of(clock))
        return REAL(clock_adjtime)(clock, change);
    if (!change->modes)
        memset(change, 0, sizeof *change);
    return 0;
}
