/* SPDX-License-Identifier: Apache-2.0
 *
 * What an application may expect of a PCM, one case each, through alsa-lib's public API only:
 *
 *   semantics DEVICE CASE
 *
 * Exit code 0 and no output, or 1 and the expectation that failed. The durations are compared with
 * the ideal ones plus SLACK_MS (a loaded machine), the CPU time with a hard limit: a busy loop
 * passes every functional test.
 */
#define _GNU_SOURCE
#include <alsa/asoundlib.h>
#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#define RATE 48000
#define CHANNELS 2
#define SLACK_MS 60.0
#define CPU_MS 8.0

static const char *device;
static int16_t samples[RATE * 4 * CHANNELS];

#define EXPECT(condition, ...)                                                                    \
	do {                                                                                      \
		if (!(condition)) {                                                               \
			printf("line %d: %s: ", __LINE__, #condition);                            \
			printf(__VA_ARGS__);                                                      \
			printf("\n");                                                             \
			exit(1);                                                                  \
		}                                                                                 \
	} while (0)
#define OK(call)                                                                                  \
	do {                                                                                      \
		int expect_err = (call);                                                          \
		EXPECT(expect_err >= 0, "%s", snd_strerror(expect_err));                          \
	} while (0)
#define EQUAL(value, wanted)                                                                      \
	do {                                                                                      \
		long expect_value = (long)(value), expect_wanted = (long)(wanted);                \
		EXPECT(expect_value == expect_wanted, "%ld, not %ld", expect_value,               \
		       expect_wanted);                                                            \
	} while (0)

struct setup {
	snd_pcm_stream_t stream;
	int mode;
	snd_pcm_access_t access;
	snd_pcm_format_t format;
	unsigned int channels;
	snd_pcm_uframes_t period, buffer;
	snd_pcm_uframes_t start_threshold; /* 0: never by itself */
	int is_soft; /* run through xruns */
};

static const struct setup playback = {
	SND_PCM_STREAM_PLAYBACK, 0, SND_PCM_ACCESS_RW_INTERLEAVED, SND_PCM_FORMAT_S16_LE, CHANNELS,
	480, 4800, 0, 0,
};
static const struct setup capture = {
	SND_PCM_STREAM_CAPTURE, 0, SND_PCM_ACCESS_RW_INTERLEAVED, SND_PCM_FORMAT_S16_LE, CHANNELS,
	480, 4800, 1, 0,
};

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static double cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

static void configure(snd_pcm_t *pcm, const struct setup *s)
{
	snd_pcm_hw_params_t *hw;
	snd_pcm_sw_params_t *sw;
	snd_pcm_uframes_t period = s->period, buffer = s->buffer, boundary;

	snd_pcm_hw_params_alloca(&hw);
	snd_pcm_sw_params_alloca(&sw);
	OK(snd_pcm_hw_params_any(pcm, hw));
	OK(snd_pcm_hw_params_set_access(pcm, hw, s->access));
	OK(snd_pcm_hw_params_set_format(pcm, hw, s->format));
	OK(snd_pcm_hw_params_set_channels(pcm, hw, s->channels));
	OK(snd_pcm_hw_params_set_rate(pcm, hw, RATE, 0));
	OK(snd_pcm_hw_params_set_period_size(pcm, hw, period, 0));
	OK(snd_pcm_hw_params_set_buffer_size(pcm, hw, buffer));
	OK(snd_pcm_hw_params(pcm, hw));
	OK(snd_pcm_sw_params_current(pcm, sw));
	OK(snd_pcm_sw_params_get_boundary(sw, &boundary));
	OK(snd_pcm_sw_params_set_start_threshold(
		pcm, sw, s->start_threshold ? s->start_threshold : boundary));
	if (s->is_soft)
		OK(snd_pcm_sw_params_set_stop_threshold(pcm, sw, boundary));
	OK(snd_pcm_sw_params_set_avail_min(pcm, sw, period));
	OK(snd_pcm_sw_params_set_tstamp_mode(pcm, sw, SND_PCM_TSTAMP_ENABLE));
	OK(snd_pcm_sw_params_set_tstamp_type(pcm, sw, SND_PCM_TSTAMP_TYPE_MONOTONIC));
	OK(snd_pcm_sw_params(pcm, sw));
}

static snd_pcm_t *open_pcm(struct setup s)
{
	snd_pcm_t *pcm;

	OK(snd_pcm_open(&pcm, device, s.stream, s.mode));
	configure(pcm, &s);
	return pcm;
}

static snd_pcm_sframes_t delay_of(snd_pcm_t *pcm)
{
	snd_pcm_sframes_t delay;

	OK(snd_pcm_delay(pcm, &delay));
	return delay;
}

static void expect_ms(double from, double ideal)
{
	double took = now_ms() - from;

	EXPECT(took > ideal - 1.0 && took < ideal + SLACK_MS, "took %.1f ms, ideal %.1f", took,
	       ideal);
}

static void expect_cpu(double from)
{
	EXPECT(cpu_ms() - from < CPU_MS, "burnt %.1f ms of CPU", cpu_ms() - from);
}

/* Revents after a poll without waiting; 0 when nothing is ready. */
static unsigned short poll_now(snd_pcm_t *pcm, int timeout)
{
	struct pollfd fds[4];
	unsigned short events = 0;
	int count = snd_pcm_poll_descriptors(pcm, fds, 4);

	OK(count);
	if (poll(fds, (nfds_t)count, timeout) > 0)
		OK(snd_pcm_poll_descriptors_revents(pcm, fds, (unsigned int)count, &events));
	return events;
}

static unsigned long counter(snd_pcm_t *pcm, const char *name)
{
	snd_output_t *out;
	char *text;
	const char *at;
	unsigned long value;

	OK(snd_output_buffer_open(&out));
	OK(snd_pcm_dump(pcm, out));
	snd_output_buffer_string(out, &text);
	at = strstr(text, name);
	EXPECT(at, "no %s in the dump", name);
	value = strtoul(at + strlen(name), NULL, 10);
	snd_output_close(out);
	return value;
}

static void drain_below_start_threshold(void)
{
	snd_pcm_t *pcm = open_pcm(playback);
	double start, cpu;

	EQUAL(snd_pcm_writei(pcm, samples, 1200), 1200);
	EQUAL(snd_pcm_state(pcm), SND_PCM_STATE_PREPARED);
	start = now_ms();
	cpu = cpu_ms();
	OK(snd_pcm_drain(pcm));
	expect_ms(start, 25);
	expect_cpu(cpu);
	EQUAL(snd_pcm_state(pcm), SND_PCM_STATE_SETUP);
	snd_pcm_close(pcm);
}

static void drain_nonblocking(void)
{
	struct setup s = playback;
	snd_pcm_t *pcm;
	double start, cpu;

	s.mode = SND_PCM_NONBLOCK;
	pcm = open_pcm(s);
	EQUAL(snd_pcm_writei(pcm, samples, 2400), 2400);
	start = now_ms();
	cpu = cpu_ms();
	EQUAL(snd_pcm_drain(pcm), -EAGAIN);
	EXPECT(now_ms() - start < 20, "drain blocked");
	while (!(poll_now(pcm, 1000) & POLLOUT))
		;
	expect_ms(start, 50);
	expect_cpu(cpu);
	EQUAL(snd_pcm_state(pcm), SND_PCM_STATE_SETUP);
	EQUAL(snd_pcm_drain(pcm), 0);
	snd_pcm_close(pcm);
}

static void drain_of_nothing(void)
{
	snd_pcm_t *pcm = open_pcm(playback);
	double start = now_ms();

	OK(snd_pcm_drain(pcm));
	expect_ms(start, 0);
	EQUAL(snd_pcm_state(pcm), SND_PCM_STATE_SETUP);
	snd_pcm_close(pcm);
}

static void drain_of_capture(void)
{
	snd_pcm_t *pcm = open_pcm(capture);
	double start;

	OK(snd_pcm_start(pcm));
	sleep_ms(20);
	start = now_ms();
	OK(snd_pcm_drain(pcm));
	expect_ms(start, 0);
	EQUAL(snd_pcm_state(pcm), SND_PCM_STATE_SETUP);
	snd_pcm_close(pcm);
}

static void pause_and_resume(void)
{
	snd_pcm_t *pcm = open_pcm(playback);
	snd_pcm_sframes_t delay;
	double start, cpu;

	EQUAL(snd_pcm_writei(pcm, samples, 4800), 4800);
	OK(snd_pcm_start(pcm));
	sleep_ms(20);
	OK(snd_pcm_pause(pcm, 1));
	EQUAL(snd_pcm_state(pcm), SND_PCM_STATE_PAUSED);
	delay = delay_of(pcm);
	EXPECT(delay > 0 && delay <= 4800 - 19 * RATE / 1000, "delay %ld", delay);
	cpu = cpu_ms();
	sleep_ms(50);
	EQUAL(delay_of(pcm), delay);
	snd_pcm_avail_update(pcm);
	EQUAL(delay_of(pcm), delay);
	expect_cpu(cpu);
	OK(snd_pcm_pause(pcm, 0));
	EQUAL(snd_pcm_state(pcm), SND_PCM_STATE_RUNNING);
	start = now_ms();
	OK(snd_pcm_drain(pcm));
	expect_ms(start, delay * 1000.0 / RATE);
	EQUAL(snd_pcm_pause(pcm, 1), -EBADFD);
	snd_pcm_close(pcm);
}

static void pause_of_capture(void)
{
	snd_pcm_t *pcm = open_pcm(capture);
	snd_pcm_sframes_t avail;

	OK(snd_pcm_start(pcm));
	sleep_ms(30);
	OK(snd_pcm_pause(pcm, 1));
	avail = snd_pcm_avail_update(pcm);
	EXPECT(avail >= 20 * RATE / 1000, "avail %ld", avail);
	sleep_ms(50);
	EQUAL(snd_pcm_avail_update(pcm), avail);
	OK(snd_pcm_pause(pcm, 0));
	EQUAL(snd_pcm_readi(pcm, samples, (snd_pcm_uframes_t)avail + 480), avail + 480);
	snd_pcm_close(pcm);
}

static void underrun(void)
{
	snd_pcm_t *pcm = open_pcm(playback);
	double start = now_ms();

	for (int i = 0; i < 2; i++) {
		EQUAL(snd_pcm_writei(pcm, samples, 480), 480);
		OK(snd_pcm_start(pcm));
		sleep_ms(30);
		EQUAL(snd_pcm_avail_update(pcm), -EPIPE);
		EQUAL(snd_pcm_state(pcm), SND_PCM_STATE_XRUN);
		EQUAL(snd_pcm_writei(pcm, samples, 480), -EPIPE);
		EXPECT(poll_now(pcm, 0) & POLLERR, "poll does not say so");
		OK(snd_pcm_recover(pcm, -EPIPE, 1));
		EQUAL(snd_pcm_state(pcm), SND_PCM_STATE_PREPARED);
		EQUAL(snd_pcm_avail_update(pcm), 4800);
	}
	EQUAL(counter(pcm, "xruns "), 2);
	expect_ms(start, 60);
	snd_pcm_close(pcm);
}

static void underrun_wakes_a_waiter(void)
{
	snd_pcm_t *pcm = open_pcm(playback);
	snd_pcm_sw_params_t *sw;
	double start, cpu;

	snd_pcm_sw_params_alloca(&sw);
	OK(snd_pcm_sw_params_current(pcm, sw));
	OK(snd_pcm_sw_params_set_avail_min(pcm, sw, 4800));
	OK(snd_pcm_sw_params(pcm, sw));
	EQUAL(snd_pcm_writei(pcm, samples, 1440), 1440);
	OK(snd_pcm_start(pcm));
	start = now_ms();
	cpu = cpu_ms();
	EQUAL(snd_pcm_wait(pcm, 1000), -EPIPE);
	expect_ms(start, 30);
	expect_cpu(cpu);
	snd_pcm_close(pcm);
}

static void underrun_is_ignored_on_wish(void)
{
	struct setup s = playback;
	snd_pcm_t *pcm;
	snd_pcm_sframes_t avail, delay;

	s.is_soft = 1;
	pcm = open_pcm(s);
	EQUAL(snd_pcm_writei(pcm, samples, 480), 480);
	OK(snd_pcm_start(pcm));
	sleep_ms(50);
	avail = snd_pcm_avail_update(pcm);
	EXPECT(avail > 4800 + 40 * RATE / 1000 - 480, "avail %ld", avail);
	delay = delay_of(pcm);
	EXPECT(delay < 0, "delay %ld", delay);
	EQUAL(snd_pcm_state(pcm), SND_PCM_STATE_RUNNING);
	EQUAL(snd_pcm_writei(pcm, samples, 2400), 2400);
	OK(snd_pcm_drop(pcm));
	snd_pcm_close(pcm);
}

static void overrun(void)
{
	snd_pcm_t *pcm = open_pcm(capture);

	OK(snd_pcm_start(pcm));
	sleep_ms(120);
	EQUAL(snd_pcm_readi(pcm, samples, 480), -EPIPE);
	EQUAL(snd_pcm_state(pcm), SND_PCM_STATE_XRUN);
	OK(snd_pcm_prepare(pcm));
	EQUAL(snd_pcm_readi(pcm, samples, 480), 480);
	snd_pcm_close(pcm);
}

static void rewind_and_forward(void)
{
	snd_pcm_t *pcm = open_pcm(playback);
	snd_pcm_sframes_t before, after;

	EQUAL(snd_pcm_writei(pcm, samples, 4800), 4800);
	EQUAL(delay_of(pcm), 4800);
	EQUAL(snd_pcm_rewind(pcm, 2000), 2000);
	EQUAL(delay_of(pcm), 2800);
	EQUAL(snd_pcm_avail_update(pcm), 2000);
	EQUAL(snd_pcm_forward(pcm, 500), 500);
	EQUAL(delay_of(pcm), 3300);
	EQUAL(snd_pcm_writei(pcm, samples, 1500), 1500);
	EQUAL(delay_of(pcm), 4800);
	OK(snd_pcm_start(pcm));
	before = delay_of(pcm);
	EQUAL(snd_pcm_rewind(pcm, 1000), 1000);
	after = delay_of(pcm);
	EXPECT(before - after >= 1000 && before - after < 1000 + RATE / 20, "%ld", before - after);
	snd_pcm_close(pcm);
}

/* Loop tests: what is played comes back on the same channels. */
static int32_t loop[RATE * CHANNELS];

static struct setup looped(struct setup s)
{
	s.format = SND_PCM_FORMAT_S32_LE;
	s.buffer = RATE;
	s.start_threshold = 0;
	return s;
}

/* Frames that snd_pcm_forward skips are silence, not what the ring held before. */
static void forwarded_frames_are_silent(void)
{
	enum { LEVEL = 0x01010100, GAP = 960, SHORT = 4800 };
	struct setup s = looped(playback);
	snd_pcm_t *recorder = open_pcm(looped(capture)), *pcm;
	snd_pcm_sframes_t got;
	long before = 0, gap = 0, after = 0;

	s.buffer = SHORT;
	pcm = open_pcm(s);
	sleep_ms(50); /* what another case played has passed by then */
	for (int i = 0; i < SHORT * CHANNELS; i++)
		loop[i] = LEVEL;
	OK(snd_pcm_start(recorder));
	for (int i = 0; i < 5; i++) { /* more than the ring is long */
		EQUAL(snd_pcm_writei(pcm, loop, SHORT), SHORT);
		if (i == 0)
			OK(snd_pcm_start(pcm));
		EXPECT(snd_pcm_avail_update(recorder) >= 0, "overrun"); /* keeps what came */
	}
	sleep_ms(60);
	EXPECT(snd_pcm_avail_update(pcm) > 2 * GAP, "too slow");
	EQUAL(snd_pcm_forward(pcm, GAP), GAP);
	EQUAL(snd_pcm_writei(pcm, loop, GAP), GAP);
	OK(snd_pcm_drain(pcm));
	sleep_ms(60);
	got = snd_pcm_avail_update(recorder);
	EQUAL(snd_pcm_readi(recorder, loop, (snd_pcm_uframes_t)got), got);
	for (int i = 0; i < got * CHANNELS; i += CHANNELS) {
		EXPECT(loop[i] == LEVEL || loop[i] == 0, "frame %d is %08x", i, loop[i]);
		if (loop[i] && !gap)
			before++;
		else if (loop[i])
			after++;
		else if (before && !after && loop[i] == 0)
			gap++;
	}
	EQUAL(before, 5 * SHORT);
	EQUAL(gap, GAP);
	EQUAL(after, GAP);
	snd_pcm_close(pcm);
	snd_pcm_close(recorder);
}

/* What was recorded and not read before a pause is still there after it. */
static void pause_keeps_what_was_captured(void)
{
	snd_pcm_t *pcm = open_pcm(looped(playback)), *recorder = open_pcm(looped(capture));
	snd_pcm_sframes_t got;
	int jumps = 0, steps = 0;

	sleep_ms(50);
	for (int i = 0; i < RATE * CHANNELS; i++)
		loop[i] = (i / CHANNELS + 1) * 256;
	EQUAL(snd_pcm_writei(pcm, loop, RATE), RATE);
	OK(snd_pcm_start(pcm));
	sleep_ms(60);
	OK(snd_pcm_start(recorder));
	sleep_ms(60);
	OK(snd_pcm_pause(recorder, 1));
	sleep_ms(60);
	OK(snd_pcm_pause(recorder, 0));
	sleep_ms(60);
	got = snd_pcm_avail_update(recorder);
	EXPECT(got > 100 * RATE / 1000, "only %ld", got);
	EQUAL(snd_pcm_readi(recorder, loop, (snd_pcm_uframes_t)got), got);
	for (int i = 1; i < got; i++) {
		int32_t step = loop[i * CHANNELS] - loop[(i - 1) * CHANNELS];

		steps += step == 256;
		jumps += step != 256;
	}
	EQUAL(jumps, 1);
	EQUAL(steps, got - 2);
	snd_pcm_close(pcm);
	snd_pcm_close(recorder);
}

static void reset_while_running(void)
{
	struct setup s = playback;
	snd_pcm_t *pcm;
	snd_pcm_sframes_t delay;

	s.is_soft = 1; /* after a reset the buffer is empty */
	pcm = open_pcm(s);
	EQUAL(snd_pcm_writei(pcm, samples, 4800), 4800);
	OK(snd_pcm_start(pcm));
	sleep_ms(20);
	snd_pcm_avail_update(pcm);
	OK(snd_pcm_reset(pcm));
	delay = delay_of(pcm);
	EXPECT(delay <= 0 && delay > -RATE / 20, "delay %ld", delay);
	EQUAL(snd_pcm_state(pcm), SND_PCM_STATE_RUNNING);
	EXPECT(snd_pcm_avail_update(pcm) >= 4800, "avail");
	EQUAL(snd_pcm_writei(pcm, samples, 2400), 2400);
	EXPECT(delay_of(pcm) <= 2400, "delay %ld", delay_of(pcm));
	OK(snd_pcm_drain(pcm));
	snd_pcm_close(pcm);
}

/* delay and time of a status belong together: the play position moves on a straight line. */
static int in_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void status_is_exact(void)
{
	enum { COUNT = 200 };
	snd_pcm_t *pcm;
	snd_pcm_status_t *status;
	struct setup s = playback;
	double errors[COUNT], middle;
	int good = 0;

	s.buffer = RATE / 2;
	pcm = open_pcm(s);
	snd_pcm_status_alloca(&status);
	EQUAL(snd_pcm_writei(pcm, samples, RATE / 2), RATE / 2);
	OK(snd_pcm_start(pcm));
	sleep_ms(5);
	for (int i = 0; i < COUNT; i++) {
		snd_htimestamp_t ts;

		OK(snd_pcm_status(pcm, status));
		snd_pcm_status_get_htstamp(status, &ts);
		errors[i] = (double)ts.tv_sec * RATE + ts.tv_nsec * (RATE / 1e9) +
			    (double)snd_pcm_status_get_delay(status);
		sleep_ms(1);
	}
	/* any of them may have been held up between its time and its delay, the first one too */
	qsort(errors, COUNT, sizeof(*errors), in_order);
	middle = errors[COUNT / 2];
	for (int i = 0; i < COUNT; i++)
		good += errors[i] - middle > -1.5 && errors[i] - middle < 1.5;
	EXPECT(good > COUNT * 8 / 10, "%d of %d within 1.5 frames", good, COUNT);
	snd_pcm_close(pcm);
}

static void time_passes_exactly(void)
{
	snd_pcm_t *pcm;
	struct setup s = capture;
	double start;
	snd_pcm_sframes_t avail;

	s.buffer = RATE / 2;
	pcm = open_pcm(s);
	OK(snd_pcm_start(pcm));
	start = now_ms();
	sleep_ms(100);
	avail = snd_pcm_avail_update(pcm);
	EXPECT(avail > (now_ms() - start - 2.5) * RATE / 1000, "only %ld", avail);
	EXPECT(avail <= (now_ms() - start) * RATE / 1000 + 1, "even %ld", avail);
	snd_pcm_close(pcm);
}

static void set_up_again(void)
{
	struct setup s = playback;
	snd_pcm_t *pcm = open_pcm(s);

	EQUAL(snd_pcm_writei(pcm, samples, 480), 480);
	OK(snd_pcm_start(pcm));
	OK(snd_pcm_drop(pcm));
	OK(snd_pcm_hw_free(pcm));
	s.format = SND_PCM_FORMAT_S32_LE;
	s.channels = 8;
	s.period = 96;
	s.buffer = 960;
	configure(pcm, &s);
	EQUAL(snd_pcm_writei(pcm, samples, 960), 960);
	OK(snd_pcm_drain(pcm));
	configure(pcm, &playback); /* without hw_free before it */
	EQUAL(snd_pcm_writei(pcm, samples, 4800), 4800);
	OK(snd_pcm_drop(pcm));
	snd_pcm_close(pcm);
}

static int open_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void open_and_close(void)
{
	int before = 0;
	double cpu = cpu_ms();

	for (int i = 0; i < 100; i++) {
		snd_pcm_t *pcm = open_pcm(i % 2 ? playback : capture);

		if (i % 2)
			EQUAL(snd_pcm_writei(pcm, samples, 480), 480);
		OK(snd_pcm_start(pcm));
		snd_pcm_close(pcm);
		if (i == 1)
			before = open_descriptors();
	}
	EQUAL(open_descriptors(), before);
	EXPECT(cpu_ms() - cpu < 500, "%.1f ms of CPU", cpu_ms() - cpu);
}

static void poll_levels_of_playback(void)
{
	struct setup s = playback;
	snd_pcm_t *pcm;

	s.period = 2400;
	pcm = open_pcm(s);
	EQUAL(poll_now(pcm, 0), POLLOUT); /* PREPARED and empty */
	EQUAL(snd_pcm_writei(pcm, samples, 2400), 2400);
	EQUAL(poll_now(pcm, 0), POLLOUT);
	EQUAL(snd_pcm_writei(pcm, samples, 2400), 2400);
	EQUAL(poll_now(pcm, 0), 0); /* PREPARED and full */
	OK(snd_pcm_start(pcm));
	EQUAL(poll_now(pcm, 0), 0);
	EQUAL(poll_now(pcm, 1000), POLLOUT); /* a period has been played */
	EQUAL(snd_pcm_writei(pcm, samples, 2400), 2400);
	OK(snd_pcm_pause(pcm, 1));
	EQUAL(poll_now(pcm, 100), 0); /* PAUSED */
	OK(snd_pcm_pause(pcm, 0));
	EQUAL(poll_now(pcm, 1000), POLLOUT);
	OK(snd_pcm_drop(pcm));
	EXPECT(poll_now(pcm, 0), "SETUP must not block");
	OK(snd_pcm_prepare(pcm));
	EQUAL(poll_now(pcm, 0), POLLOUT);
	snd_pcm_close(pcm);
}

static void poll_levels_of_capture(void)
{
	snd_pcm_t *pcm = open_pcm(capture);
	double start;

	EQUAL(poll_now(pcm, 20), 0); /* PREPARED */
	OK(snd_pcm_start(pcm));
	start = now_ms();
	EQUAL(poll_now(pcm, 0), 0);
	EQUAL(poll_now(pcm, 1000), POLLIN);
	expect_ms(start, 10);
	EQUAL(poll_now(pcm, 0), POLLIN); /* still, nothing was read */
	EQUAL(snd_pcm_readi(pcm, samples, 480), 480);
	OK(snd_pcm_pause(pcm, 1));
	snd_pcm_readi(pcm, samples, (snd_pcm_uframes_t)snd_pcm_avail_update(pcm));
	EQUAL(poll_now(pcm, 30), 0);
	OK(snd_pcm_drop(pcm));
	EXPECT(poll_now(pcm, 0), "SETUP must not block");
	snd_pcm_close(pcm);
}

static void waiting_costs_nothing(void)
{
	snd_pcm_t *pcm = open_pcm(capture);
	double start = now_ms(), cpu = cpu_ms();

	EQUAL(snd_pcm_wait(pcm, 100), 0); /* PREPARED: never */
	expect_ms(start, 100);
	snd_pcm_close(pcm);
	pcm = open_pcm(playback);
	EQUAL(snd_pcm_writei(pcm, samples, 4800), 4800);
	start = now_ms();
	EQUAL(snd_pcm_wait(pcm, 100), 0); /* full and not started */
	expect_ms(start, 100);
	expect_cpu(cpu);
	snd_pcm_close(pcm);
}

static void one_wake_a_period(struct setup s)
{
	enum { PERIODS = 60 };
	snd_pcm_t *pcm;
	double cpu;
	unsigned long wakes;

	s.period = 240;
	pcm = open_pcm(s);
	if (s.stream == SND_PCM_STREAM_PLAYBACK)
		EQUAL(snd_pcm_writei(pcm, samples, 4800), 4800);
	OK(snd_pcm_start(pcm));
	cpu = cpu_ms();
	for (int i = 0; i < PERIODS; i++) {
		while (!(poll_now(pcm, 1000) & (POLLIN | POLLOUT)))
			;
		if (s.stream == SND_PCM_STREAM_PLAYBACK)
			EQUAL(snd_pcm_writei(pcm, samples, 240), 240);
		else
			EQUAL(snd_pcm_readi(pcm, samples, 240), 240);
	}
	EXPECT(cpu_ms() - cpu < 3 * CPU_MS, "burnt %.1f ms", cpu_ms() - cpu);
	wakes = counter(pcm, "wakes ");
	EXPECT(wakes >= PERIODS && wakes <= PERIODS + 6, "%lu wakes", wakes);
	EXPECT(counter(pcm, "spurious ") <= 6, "%lu spurious", counter(pcm, "spurious "));
	EXPECT(counter(pcm, "arms ") < 4 * PERIODS, "%lu arms", counter(pcm, "arms "));
	snd_pcm_close(pcm);
}

static void one_wake_a_period_of_playback(void)
{
	one_wake_a_period(playback);
}

static void one_wake_a_period_of_capture(void)
{
	one_wake_a_period(capture);
}

/* Blocking reads of 1 ms: what a continuous pointer would turn into a busy loop. */
static void blocking_reads_cost_little(void)
{
	struct setup s = capture;
	snd_pcm_t *pcm;
	double cpu, start;

	s.period = 48;
	pcm = open_pcm(s);
	OK(snd_pcm_start(pcm));
	cpu = cpu_ms();
	start = now_ms();
	for (int i = 0; i < 300; i++)
		EQUAL(snd_pcm_readi(pcm, samples, 48), 48);
	expect_ms(start, 300);
	EXPECT(cpu_ms() - cpu < 60, "burnt %.1f ms of 300", cpu_ms() - cpu);
	snd_pcm_close(pcm);
}

static void mmap_playback(void)
{
	struct setup s = playback;
	snd_pcm_t *pcm;
	double start;

	s.access = SND_PCM_ACCESS_MMAP_INTERLEAVED;
	pcm = open_pcm(s);
	EQUAL(snd_pcm_mmap_writei(pcm, samples, 4800), 4800);
	OK(snd_pcm_start(pcm));
	start = now_ms();
	for (int written = 0; written < 4800;) {
		const snd_pcm_channel_area_t *areas;
		snd_pcm_uframes_t offset, frames = 480;

		OK(snd_pcm_wait(pcm, 1000));
		OK(snd_pcm_avail_update(pcm));
		OK(snd_pcm_mmap_begin(pcm, &areas, &offset, &frames));
		memset((char *)areas[0].addr + offset * 4, 0, frames * 4);
		EQUAL(snd_pcm_mmap_commit(pcm, offset, frames), frames);
		written += (int)frames;
	}
	OK(snd_pcm_drain(pcm));
	expect_ms(start, 200);
	snd_pcm_close(pcm);
}

static void mmap_capture(void)
{
	struct setup s = capture;
	snd_pcm_t *pcm;
	double start, cpu;

	s.access = SND_PCM_ACCESS_MMAP_INTERLEAVED;
	pcm = open_pcm(s);
	OK(snd_pcm_start(pcm));
	start = now_ms();
	cpu = cpu_ms();
	for (int read = 0; read < 4800;) {
		const snd_pcm_channel_area_t *areas;
		snd_pcm_uframes_t offset, frames = 480;

		OK(snd_pcm_wait(pcm, 1000));
		OK(snd_pcm_avail_update(pcm));
		OK(snd_pcm_mmap_begin(pcm, &areas, &offset, &frames));
		EQUAL(snd_pcm_mmap_commit(pcm, offset, frames), frames);
		read += (int)frames;
	}
	expect_ms(start, 100);
	EXPECT(cpu_ms() - cpu < 3 * CPU_MS, "burnt %.1f ms", cpu_ms() - cpu);
	snd_pcm_close(pcm);
}

static void nonblocking_access(void)
{
	struct setup s = capture;
	snd_pcm_t *pcm;

	s.mode = SND_PCM_NONBLOCK;
	pcm = open_pcm(s);
	EQUAL(snd_pcm_readi(pcm, samples, 480), -EAGAIN); /* and it runs now */
	EQUAL(snd_pcm_state(pcm), SND_PCM_STATE_RUNNING);
	sleep_ms(20);
	EQUAL(snd_pcm_readi(pcm, samples, 480), 480);
	snd_pcm_close(pcm);
	s = playback;
	s.mode = SND_PCM_NONBLOCK;
	pcm = open_pcm(s);
	EQUAL(snd_pcm_writei(pcm, samples, 9600), 4800);
	OK(snd_pcm_start(pcm));
	EQUAL(snd_pcm_writei(pcm, samples, 4800), -EAGAIN);
	snd_pcm_close(pcm);
}

/* Before hw_params and after hw_free: an error, whichever, and no crash. */
static void ask_too_early(snd_pcm_t *pcm)
{
	snd_pcm_status_t *status;
	snd_pcm_sframes_t delay;

	snd_pcm_status_alloca(&status);
	snd_pcm_avail_update(pcm);
	snd_pcm_hwsync(pcm);
	snd_pcm_delay(pcm, &delay);
	snd_pcm_status(pcm, status);
	poll_now(pcm, 0);
	snd_pcm_start(pcm);
	snd_pcm_pause(pcm, 1);
	snd_pcm_drop(pcm);
	snd_pcm_drain(pcm);
	EXPECT(snd_pcm_prepare(pcm) < 0, "prepared");
}

static void wrong_states(void)
{
	snd_pcm_t *pcm;

	OK(snd_pcm_open(&pcm, device, SND_PCM_STREAM_CAPTURE, 0));
	ask_too_early(pcm);
	configure(pcm, &capture);
	OK(snd_pcm_start(pcm));
	OK(snd_pcm_hw_free(pcm));
	ask_too_early(pcm);
	snd_pcm_close(pcm);
	pcm = open_pcm(playback);

	EQUAL(snd_pcm_pause(pcm, 0), -EBADFD);
	OK(snd_pcm_start(pcm));
	EQUAL(snd_pcm_start(pcm), -EBADFD);
	OK(snd_pcm_drop(pcm));
	OK(snd_pcm_drop(pcm));
	EQUAL(snd_pcm_start(pcm), -EBADFD);
	EQUAL(snd_pcm_writei(pcm, samples, 10), -EBADFD);
	OK(snd_pcm_hw_free(pcm));
	snd_pcm_close(pcm);
}

/* A buffer of some frames may well overrun. */
static int reads_or_overruns(snd_pcm_t *pcm)
{
	snd_pcm_sframes_t done = snd_pcm_readi(pcm, samples, 1);

	return done == 1 || done == -EPIPE;
}

/* Whatever the constraints admit works: the largest and the smallest of everything. */
static void extreme_configurations(void)
{
	static const snd_pcm_format_t formats[] = { SND_PCM_FORMAT_S16_LE, SND_PCM_FORMAT_FLOAT_LE };
	static const unsigned int channels[] = { 1, 2, 64 };

	for (int i = 0; i < 24; i++) {
		snd_pcm_stream_t stream = i & 1;
		snd_pcm_t *pcm;
		snd_pcm_hw_params_t *hw;
		snd_pcm_uframes_t buffer, period;

		OK(snd_pcm_open(&pcm, device, stream, 0));
		snd_pcm_hw_params_alloca(&hw);
		OK(snd_pcm_hw_params_any(pcm, hw));
		OK(snd_pcm_hw_params_set_access(pcm, hw, SND_PCM_ACCESS_RW_INTERLEAVED));
		OK(snd_pcm_hw_params_set_format(pcm, hw, formats[i >> 1 & 1]));
		OK(snd_pcm_hw_params_set_channels(pcm, hw, channels[i >> 2 & 3 ? (i >> 3) % 3 : 0]));
		if (i & 4) {
			OK(snd_pcm_hw_params_set_buffer_size_last(pcm, hw, &buffer));
		} else {
			OK(snd_pcm_hw_params_set_period_size_first(pcm, hw, &period, NULL));
			OK(snd_pcm_hw_params_set_buffer_size_first(pcm, hw, &buffer));
		}
		OK(snd_pcm_hw_params(pcm, hw));
		OK(snd_pcm_hw_params_get_period_size(hw, &period, NULL));
		EXPECT(period >= 1 && buffer >= 2 * period, "%lu of %lu", period, buffer);
		if (stream == SND_PCM_STREAM_PLAYBACK)
			EXPECT(snd_pcm_writei(pcm, samples, buffer < 480 ? buffer : 480) > 0, "write");
		else
			EXPECT(reads_or_overruns(pcm), "read");
		snd_pcm_close(pcm);
	}
}

static void wait_of_a_huge_capture_buffer(void)
{
	struct setup s = capture;
	snd_pcm_t *pcm;
	double start, cpu;

	s.channels = 1;
	s.period = RATE * 3 / 2;
	s.buffer = RATE * 6;
	pcm = open_pcm(s);
	OK(snd_pcm_start(pcm));
	start = now_ms();
	cpu = cpu_ms();
	EQUAL(snd_pcm_readi(pcm, samples, RATE * 3 / 2), RATE * 3 / 2);
	expect_ms(start, 1500);
	EXPECT(cpu_ms() - cpu < 3 * CPU_MS, "burnt %.1f ms", cpu_ms() - cpu);
	snd_pcm_close(pcm);
}

static void channel_maps(void)
{
	snd_pcm_t *pcm = open_pcm(playback);
	snd_pcm_chmap_query_t **maps = snd_pcm_query_chmaps(pcm);
	snd_pcm_chmap_t *map = snd_pcm_get_chmap(pcm);
	unsigned int count = 0;

	EXPECT(maps && map, "none");
	for (; maps[count]; count++) {
		EQUAL(maps[count]->map.channels, count + 1);
		EQUAL(maps[count]->type, SND_CHMAP_TYPE_FIXED);
	}
	EQUAL(count, 64);
	EQUAL(map->channels, 2);
	EQUAL(map->pos[1], SND_CHMAP_FR);
	free(map);
	snd_pcm_free_chmaps(maps);
	snd_pcm_close(pcm);
}

/* Four threads on one handle, for the thread sanitizer. */
static snd_pcm_t *shared;
static volatile int is_over;

static void *thread_writer(void *argument)
{
	(void)argument;
	while (!is_over)
		if (snd_pcm_writei(shared, samples, 480) < 0)
			snd_pcm_prepare(shared);
	return NULL;
}

static void *thread_watcher(void *argument)
{
	snd_pcm_status_t *status;
	snd_pcm_sframes_t delay;

	(void)argument;
	snd_pcm_status_malloc(&status);
	while (!is_over) {
		snd_pcm_status(shared, status);
		snd_pcm_delay(shared, &delay);
		snd_pcm_avail(shared);
		sleep_ms(1);
	}
	snd_pcm_status_free(status);
	return NULL;
}

static void *thread_poller(void *argument)
{
	(void)argument;
	while (!is_over) {
		snd_pcm_wait(shared, 5);
		sleep_ms(1);
	}
	return NULL;
}

static void *thread_pauser(void *argument)
{
	(void)argument;
	for (int i = 0; !is_over; i++) {
		if (i % 10 == 9)
			snd_pcm_drop(shared);
		else
			snd_pcm_pause(shared, i & 1);
		sleep_ms(7);
	}
	return NULL;
}

static void four_threads(void)
{
	static void *(*const bodies[])(void *) = { thread_writer, thread_watcher, thread_poller,
						   thread_pauser };
	struct setup s = playback;
	pthread_t threads[4];

	s.start_threshold = 480;
	shared = open_pcm(s);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, bodies[i], NULL);
	sleep_ms(1500);
	is_over = 1;
	snd_pcm_drop(shared);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	snd_pcm_close(shared);
}

/* For kill tests: use the PCM in one way until it fails, print the error and its cause's age. */

/* A machine that stood still is no accident of the engine's: go on as applications do. */
static int has_failed(snd_pcm_t *pcm, snd_pcm_sframes_t done)
{
	return done <= 0 && (done != -EPIPE || snd_pcm_prepare(pcm) < 0);
}

static int until_write_fails(snd_pcm_t *pcm)
{
	snd_pcm_sframes_t done;

	do {
		done = snd_pcm_writei(pcm, samples, 480);
	} while (!has_failed(pcm, done));
	return (int)done;
}

static int until_read_fails(snd_pcm_t *pcm)
{
	snd_pcm_sframes_t done;

	do {
		done = snd_pcm_readi(pcm, samples, 480);
	} while (!has_failed(pcm, done));
	return (int)done;
}

static int until_wait_fails(snd_pcm_t *pcm)
{
	int done = snd_pcm_wait(pcm, -1);

	return done < 0 ? done : (int)snd_pcm_avail_update(pcm);
}

static int until_read_xruns(snd_pcm_t *pcm)
{
	snd_pcm_sframes_t done;

	do {
		done = snd_pcm_readi(pcm, samples, 480);
	} while (done > 0);
	return (int)done;
}

/* Never polls, as ffmpeg's capture does. */
static int until_nonblocking_read_fails(snd_pcm_t *pcm)
{
	snd_pcm_sframes_t done;

	do {
		done = snd_pcm_readi(pcm, samples, 480);
		sleep_ms(2);
	} while (done == -EAGAIN || !has_failed(pcm, done));
	return (int)done;
}

static int until_avail_fails(snd_pcm_t *pcm)
{
	snd_pcm_sframes_t done;

	do {
		done = snd_pcm_avail(pcm);
		sleep_ms(2);
	} while (done >= 0 && snd_pcm_state(pcm) != SND_PCM_STATE_DISCONNECTED);
	return done < 0 ? (int)done : -ENODEV;
}

static int until_drain_ends(snd_pcm_t *pcm)
{
	snd_pcm_writei(pcm, samples, 2 * RATE);
	snd_pcm_drain(pcm);
	return snd_pcm_prepare(pcm);
}

static int until(const char *what)
{
	struct setup s = playback;
	int (*body)(snd_pcm_t *) = until_write_fails;
	snd_pcm_t *pcm;
	int err;

	s.start_threshold = 480;
	if (!strcmp(what, "read") || !strcmp(what, "xrun") || !strcmp(what, "nonblock") ||
	    !strcmp(what, "wait"))
		s = capture;
	if (!strcmp(what, "read"))
		body = until_read_fails;
	if (!strcmp(what, "xrun"))
		body = until_read_xruns;
	if (!strcmp(what, "wait"))
		body = until_wait_fails;
	if (!strcmp(what, "avail"))
		s.is_soft = 1, body = until_avail_fails;
	if (!strcmp(what, "nonblock"))
		s.mode = SND_PCM_NONBLOCK, body = until_nonblocking_read_fails;
	if (!strcmp(what, "drain"))
		s.buffer = 2 * RATE, body = until_drain_ends;
	pcm = open_pcm(s);
	if (!strcmp(what, "avail"))
		OK(snd_pcm_start(pcm));
	printf("running\n");
	fflush(stdout);
	err = body(pcm);
	printf("%.1f %d %s\n", now_ms(), err, snd_pcm_state_name(snd_pcm_state(pcm)));
	printf("prepare %d\n", snd_pcm_prepare(pcm));
	snd_pcm_close(pcm);
	return 0;
}

/* For restarts: open, wait for a line, only then set up and play. */
static int late(void)
{
	snd_pcm_t *pcm;

	OK(snd_pcm_open(&pcm, device, SND_PCM_STREAM_PLAYBACK, 0));
	printf("running\n");
	fflush(stdout);
	getchar();
	configure(pcm, &playback);
	EQUAL(snd_pcm_writei(pcm, samples, 2400), 2400);
	OK(snd_pcm_drain(pcm));
	snd_pcm_close(pcm);
	return 0;
}

#define CASE(name) { #name, name }
static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	CASE(drain_below_start_threshold), CASE(drain_nonblocking), CASE(drain_of_nothing),
	CASE(drain_of_capture), CASE(pause_and_resume), CASE(pause_of_capture), CASE(pause_keeps_what_was_captured),
	CASE(forwarded_frames_are_silent), CASE(underrun),
	CASE(underrun_wakes_a_waiter), CASE(underrun_is_ignored_on_wish), CASE(overrun),
	CASE(rewind_and_forward), CASE(reset_while_running), CASE(status_is_exact),
	CASE(time_passes_exactly), CASE(set_up_again), CASE(open_and_close),
	CASE(poll_levels_of_playback), CASE(poll_levels_of_capture), CASE(waiting_costs_nothing),
	CASE(one_wake_a_period_of_playback), CASE(one_wake_a_period_of_capture),
	CASE(blocking_reads_cost_little), CASE(mmap_playback), CASE(mmap_capture),
	CASE(nonblocking_access), CASE(wrong_states), CASE(extreme_configurations),
	CASE(wait_of_a_huge_capture_buffer), CASE(channel_maps), CASE(four_threads),
};

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "list")) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
			printf("%s\n", cases[i].name);
		return 0;
	}
	if (argc < 3)
		return 2;
	device = argv[1];
	if (!strcmp(argv[2], "late"))
		return late();
	if (!strcmp(argv[2], "until") && argc == 4)
		return until(argv[3]);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (!strcmp(argv[2], cases[i].name)) {
			cases[i].run();
			snd_config_update_free_global();
			return 0;
		}
	return 2;
}
