/* The plugin's inline functions under names that Python can call. */
#include "clock.h"
#include "convert.h"
#include "ring.h"

int64_t pure_media_ns(const struct clock_line *line, int64_t mono_ns)
{
	return clock_media_ns(line, mono_ns);
}

int64_t pure_mono_ns(const struct clock_line *line, int64_t media_ns)
{
	return clock_mono_ns(line, media_ns);
}

int64_t pure_frame(int64_t media_ns, int64_t rate)
{
	return clock_frame(media_ns, rate);
}

int64_t pure_frame_ns(int64_t frame, int64_t rate)
{
	return clock_frame_ns(frame, rate);
}

int64_t pure_grid_frame(int64_t media_ns, int64_t grid_ns, int64_t rate)
{
	return clock_grid_frame(media_ns, grid_ns, rate);
}

int pure_read(const void *page, struct clock_line *line)
{
	return clock_read(page, line);
}

int64_t pure_linear(int64_t near, uint64_t wrapped, uint64_t boundary)
{
	return ring_linear(near, wrapped, boundary);
}

int64_t pure_reported(int64_t exact, int64_t last, int64_t target, int64_t quantum)
{
	return ring_reported(exact, last, target, quantum);
}

int64_t pure_power_of_two(int64_t frames)
{
	return ring_power_of_two(frames);
}

void pure_in(unsigned int format, int32_t *to, const void *from, size_t count)
{
	convert_in(format, to, from, count);
}

void pure_out(unsigned int format, void *to, size_t stride, const int32_t *from, size_t count)
{
	convert_out(format, to, stride, from, count);
}
