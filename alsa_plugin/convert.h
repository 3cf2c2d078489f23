/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * Samples between an application's format and the canonical one of the shared memory: int32,
 * left-justified. Integer formats are shifts, so what fits passes bit for bit; a narrower format
 * truncates (no dither). FLOAT_LE is scaled by 2^31 and saturates; 24-bit values survive the round
 * trip. Pure.
 */
#ifndef AES67_CONVERT_H
#define AES67_CONVERT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "aes67_shm.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the formats of the shared memory and of this device are little-endian"
#endif

#define CONVERT_FULL_SCALE 2147483648.0f

/* Bytes of a sample of AES67_FORMAT_...; 0 for an unknown one. */
static inline size_t convert_width(unsigned int format)
{
	switch (format) {
	case AES67_FORMAT_S16_LE:
		return 2;
	case AES67_FORMAT_S24_3LE:
		return 3;
	case AES67_FORMAT_S24_LE:
	case AES67_FORMAT_S32_LE:
	case AES67_FORMAT_FLOAT_LE:
		return 4;
	default:
		return 0;
	}
}

static inline int32_t convert_float(float value)
{
	float scaled = value * CONVERT_FULL_SCALE;

	if (scaled >= CONVERT_FULL_SCALE)
		return INT32_MAX;
	if (scaled <= -CONVERT_FULL_SCALE)
		return INT32_MIN;
	if (scaled != scaled)
		return 0;
	return (int32_t)(scaled + (scaled < 0 ? -0.5f : 0.5f));
}

/* `count` samples of an application into the ring. */
static inline void convert_in(unsigned int format, int32_t *restrict to, const void *restrict from,
			      size_t count)
{
	const uint8_t *bytes = from;

	switch (format) {
	case AES67_FORMAT_S16_LE:
		for (size_t i = 0; i < count; i++, bytes += 2) {
			uint16_t sample;

			memcpy(&sample, bytes, sizeof(sample));
			to[i] = (int32_t)((uint32_t)sample << 16);
		}
		break;
	case AES67_FORMAT_S24_3LE:
		for (size_t i = 0; i < count; i++, bytes += 3)
			to[i] = (int32_t)((uint32_t)bytes[0] << 8 | (uint32_t)bytes[1] << 16 |
					  (uint32_t)bytes[2] << 24);
		break;
	case AES67_FORMAT_S24_LE:
		for (size_t i = 0; i < count; i++, bytes += 4) {
			uint32_t sample;

			memcpy(&sample, bytes, sizeof(sample));
			to[i] = (int32_t)(sample << 8);
		}
		break;
	case AES67_FORMAT_S32_LE:
		memcpy(to, from, count * sizeof(*to));
		break;
	case AES67_FORMAT_FLOAT_LE:
		for (size_t i = 0; i < count; i++, bytes += 4) {
			float sample;

			memcpy(&sample, bytes, sizeof(sample));
			to[i] = convert_float(sample);
		}
		break;
	}
}

/* `count` consecutive samples of one channel to an application, `stride` bytes apart. */
static inline void convert_out(unsigned int format, void *restrict to, size_t stride,
			       const int32_t *restrict from, size_t count)
{
	uint8_t *bytes = to;

	switch (format) {
	case AES67_FORMAT_S16_LE:
		for (size_t i = 0; i < count; i++, bytes += stride) {
			int16_t sample = (int16_t)(from[i] >> 16);

			memcpy(bytes, &sample, sizeof(sample));
		}
		break;
	case AES67_FORMAT_S24_3LE:
		for (size_t i = 0; i < count; i++, bytes += stride) {
			bytes[0] = (uint8_t)(from[i] >> 8);
			bytes[1] = (uint8_t)(from[i] >> 16);
			bytes[2] = (uint8_t)(from[i] >> 24);
		}
		break;
	case AES67_FORMAT_S24_LE:
		for (size_t i = 0; i < count; i++, bytes += stride) {
			int32_t sample = from[i] >> 8;

			memcpy(bytes, &sample, sizeof(sample));
		}
		break;
	case AES67_FORMAT_S32_LE:
		for (size_t i = 0; i < count; i++, bytes += stride)
			memcpy(bytes, &from[i], sizeof(from[i]));
		break;
	case AES67_FORMAT_FLOAT_LE:
		for (size_t i = 0; i < count; i++, bytes += stride) {
			float sample = (float)from[i] / CONVERT_FULL_SCALE;

			memcpy(bytes, &sample, sizeof(sample));
		}
		break;
	}
}

#endif
