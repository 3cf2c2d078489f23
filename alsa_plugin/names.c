/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * The daemon keeps a file `streams` beside the engine's socket and replaces it at each change, so
 * a name means what it means now. A line is
 *
 *     source 0 4 2 Studio A        kind, id, first device channel, channels, name
 *     sink 3 9,4,5 3 Three         or all its device channels, when they are not in a row
 *
 * and lines that are neither are passed over. A name counts before an id.
 */
#define _GNU_SOURCE
#include "names.h"

#include <alsa/asoundlib.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aes67_shm.h"

#define LINE_BYTES 1024
#define LIST_BYTES 400 /* 64 numbers of up to four digits */
#define FILE_NAME "streams"

struct row {
	unsigned int id;
	unsigned int channels;
	unsigned int map[AES67_MAX_STREAM_CHANNELS]; /* device channels */
	const char *name; /* into the line */
};

/* "9,4,5", or the first of so many. */
static bool read_channels(struct row *row, const char *text)
{
	bool is_list = strchr(text, ',');
	unsigned int i = 0;
	char *end;

	if (row->channels < 1 || row->channels > AES67_MAX_STREAM_CHANNELS)
		return false;
	for (; *text >= '0' && *text <= '9' && i < row->channels; text = end + (*end == ',')) {
		unsigned long number = strtoul(text, &end, 10);

		if (number >= AES67_MAX_DEVICE_CHANNELS || (*end && *end != ','))
			return false;
		row->map[i++] = (unsigned int)number;
	}
	if (*text || i != (is_list ? row->channels : 1))
		return false;
	for (; i < row->channels; i++)
		row->map[i] = row->map[0] + i;
	return row->map[row->channels - 1] < AES67_MAX_DEVICE_CHANNELS;
}

/* One line of this kind? */
static bool read_row(struct row *row, char *line, const char *kind)
{
	char found[8], channels[LIST_BYTES];
	int name = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%7s %9u %399s %9u%n", found, &row->id, channels, &row->channels, &name) <
		    4 ||
	    strcmp(found, kind) || line[name] != ' ')
		return false;
	row->name = line + name + 1;
	return read_channels(row, channels);
}

static bool is_id(const struct row *row, const char *wanted)
{
	char text[12];

	snprintf(text, sizeof(text), "%u", row->id);
	return !strcmp(text, wanted);
}

/* 2: a row of that name; 1: of that id; 0: none. */
static int find(FILE *file, const char *kind, const char *wanted, struct row *best)
{
	char line[LINE_BYTES];
	int rank = 0;

	while (fgets(line, sizeof(line), file)) {
		struct row row = { 0 };

		if (!read_row(&row, line, kind))
			continue;
		if (!strcmp(row.name, wanted)) {
			*best = row;
			return 2;
		}
		if (!rank && is_id(&row, wanted)) {
			*best = row;
			rank = 1;
		}
	}
	return rank;
}

static FILE *open_file(const struct params *params)
{
	char path[PARAMS_PATH_BYTES + sizeof(FILE_NAME)];
	char *slash;

	strcpy(path, params->server);
	slash = strrchr(path, '/');
	strcpy(slash ? slash + 1 : path, FILE_NAME);
	return fopen(path, "re");
}

/* Lay the PCM over all channels of the row. */
static int place(struct params *params, const struct row *row, const char *kind)
{
	unsigned int least = row->map[0], most = row->map[0];

	params->map_count = 0;
	for (unsigned int i = 0; i < row->channels; i++) {
		least = row->map[i] < least ? row->map[i] : least;
		most = row->map[i] > most ? row->map[i] : most;
		if (row->map[i] != row->map[0] + i)
			params->map_count = row->channels;
	}
	if (most - least >= AES67_MAX_STREAM_CHANNELS) {
		SNDERR("aes67: the device channels of %s %u are more than %d apart", kind, row->id,
		       AES67_MAX_STREAM_CHANNELS - 1);
		return -EINVAL;
	}
	for (unsigned int i = 0; i < params->map_count; i++)
		params->map[i] = row->map[i] - least;
	params->first = least;
	params->channels = most - least + 1;
	return 0;
}

static int take(struct params *params, const char *kind, const char *wanted)
{
	FILE *file = open_file(params);
	struct row row = { 0 };
	int rank;

	if (!file) {
		int err = errno;

		SNDERR("aes67: the daemon's list of streams cannot be read: %s", strerror(err));
		return -ENOENT;
	}
	rank = find(file, kind, wanted, &row);
	fclose(file);
	row.name = NULL; /* the line is gone */
	if (!rank) {
		SNDERR("aes67: the daemon has no %s \"%s\"", kind, wanted);
		return -ENOENT;
	}
	return place(params, &row, kind);
}

int names_resolve(struct params *params, bool is_capture)
{
	const char *wanted = is_capture ? params->sink : params->source;

	if (*wanted)
		return take(params, is_capture ? "sink" : "source", wanted);
	if (*(is_capture ? params->source : params->sink)) {
		SNDERR("aes67: %s", is_capture ? "a SOURCE is played to; record from a SINK"
					       : "a SINK is recorded from; play to a SOURCE");
		return -EINVAL;
	}
	return 0;
}
