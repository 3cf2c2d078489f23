/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * The daemon keeps a file `streams` beside the engine's socket and replaces it at each change, so
 * a name means what it means now. A line is
 *
 *     source 0 4 2 Studio A        kind, id, first device channel, channels, name
 *     sink 3 - 3 Three            "-": its channels do not follow each other
 *
 * and lines that are neither are passed over. A name counts before an id.
 */
#define _GNU_SOURCE
#include "names.h"

#include <alsa/asoundlib.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aes67_shm.h"

#define LINE_BYTES 512
#define FILE_NAME "streams"

struct row {
	unsigned int id;
	unsigned int first;
	unsigned int channels;
	bool is_scattered;
	const char *name; /* into the line */
};

/* One line of this kind? */
static bool read_row(struct row *row, char *line, const char *kind)
{
	char found[8], first[12];
	int name = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%7s %9u %11s %9u%n", found, &row->id, first, &row->channels, &name) < 4 ||
	    strcmp(found, kind) || line[name] != ' ')
		return false;
	row->name = line + name + 1;
	row->is_scattered = !strcmp(first, "-");
	if (!row->is_scattered &&
	    (first[strspn(first, "0123456789")] || sscanf(first, "%9u", &row->first) != 1))
		return false; /* %u alone would take -1 */
	return row->channels >= 1 && row->channels <= AES67_MAX_STREAM_CHANNELS &&
	       (row->is_scattered || row->first + row->channels <= AES67_MAX_DEVICE_CHANNELS);
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
	if (row.is_scattered) {
		SNDERR("aes67: the device channels of %s \"%s\" do not follow each other; "
		       "a PCM needs them in a row",
		       kind, wanted);
		return -EINVAL;
	}
	params->first = row.first;
	params->channels = row.channels;
	return 0;
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
