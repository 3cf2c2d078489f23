/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#define _GNU_SOURCE
#include "params.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aes67_shm.h"

#define GRACE_DEFAULT_MS 10000
#define GRACE_MAX_MS 3600000

struct field {
	const char *name;
	long min;
	long max;
	size_t offset;
};

static const struct field fields[] = {
	{ "channels", 0, AES67_MAX_STREAM_CHANNELS, offsetof(struct params, channels) },
	{ "first", 0, AES67_MAX_DEVICE_CHANNELS - 1, offsetof(struct params, first) },
	{ "grace", 0, GRACE_MAX_MS, offsetof(struct params, grace_ms) },
};

/* "aes67:8" hands the 8 over as a string where the definition of the argument says so. */
static int get_integer(snd_config_t *node, long *value)
{
	const char *text;
	char *end;

	if (snd_config_get_integer(node, value) == 0)
		return 0;
	if (snd_config_get_string(node, &text) < 0 || !text || !*text)
		return -EINVAL;
	errno = 0;
	*value = strtol(text, &end, 10);
	return *end || errno ? -EINVAL : 0;
}

static int read_number(struct params *params, const struct field *field, snd_config_t *node)
{
	unsigned int number;
	long value;

	if (get_integer(node, &value) < 0 || value < field->min || value > field->max) {
		SNDERR("aes67: %s must be an integer from %ld to %ld", field->name, field->min,
		       field->max);
		return -EINVAL;
	}
	number = (unsigned int)value;
	memcpy((char *)params + field->offset, &number, sizeof(number));
	return 0;
}

static int read_server(struct params *params, snd_config_t *node)
{
	const char *text;

	if (snd_config_get_string(node, &text) < 0) {
		SNDERR("aes67: server must be the path of the engine's socket");
		return -EINVAL;
	}
	if (!text)
		return 0;
	if (strlen(text) >= sizeof(params->server)) {
		SNDERR("aes67: server is longer than a socket's path may be (%zu bytes): %s",
		       sizeof(params->server) - 1, text);
		return -EINVAL;
	}
	strcpy(params->server, text);
	return 0;
}

static int read_name(char name[PARAMS_NAME_BYTES], const char *id, snd_config_t *node)
{
	const char *text;
	long number;

	if (snd_config_get_integer(node, &number) == 0) { /* SOURCE=0 */
		snprintf(name, PARAMS_NAME_BYTES, "%ld", number);
		return 0;
	}
	if (snd_config_get_string(node, &text) < 0 || (text && strlen(text) >= PARAMS_NAME_BYTES)) {
		SNDERR("aes67: %s must be a stream's name or id", id);
		return -EINVAL;
	}
	strcpy(name, text ? text : "");
	return 0;
}

/* Keys that are not ours but may stand in any definition; card, device and subdevice come with
 * the name hw:RAVENNA. */
static int is_ignored(const char *id)
{
	static const char *const ignored[] = {
		"comment", "type", "hint", "card", "device", "subdevice",
	};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		if (!strcmp(id, ignored[i]))
			return 1;
	return 0;
}

static int read_field(struct params *params, const char *id, snd_config_t *node)
{
	if (is_ignored(id))
		return 0;
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (!strcmp(id, fields[i].name))
			return read_number(params, &fields[i], node);
	if (!strcmp(id, "server"))
		return read_server(params, node);
	if (!strcmp(id, "source"))
		return read_name(params->source, id, node);
	if (!strcmp(id, "sink"))
		return read_name(params->sink, id, node);
	if (!strcmp(id, "exclusive")) {
		int flag = snd_config_get_bool(node);

		if (flag < 0) {
			SNDERR("aes67: exclusive must be yes or no");
			return -EINVAL;
		}
		params->exclusive = (unsigned int)flag;
		return 0;
	}
	SNDERR("aes67: unknown field %s", id);
	return -EINVAL;
}

/* A name in /tmp counts only when it is our own user's or root's: others may squat there. */
static int is_socket(const char *path, int only_own)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == EACCES; /* let connect say "permission denied" */
	return S_ISSOCK(st.st_mode) && (!only_own || st.st_uid == 0 || st.st_uid == geteuid());
}

static int find_server(struct params *params)
{
	const char *named = secure_getenv("AES67_SERVER");
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
	const char *format[] = { "/run/aes67/alsa.sock", "%s/aes67/alsa.sock",
				 "/tmp/aes67-%u/alsa.sock" };
	size_t size = sizeof(params->server);

	if (params->server[0])
		return 0;
	if (named && *named) {
		if (strlen(named) >= size) {
			SNDERR("aes67: AES67_SERVER is longer than a socket's path may be");
			return -EINVAL;
		}
		strcpy(params->server, named);
		return 0;
	}
	strcpy(params->server, format[0]);
	if (is_socket(params->server, 0))
		return 0;
	if (runtime && snprintf(params->server, size, format[1], runtime) < (int)size &&
	    is_socket(params->server, 0))
		return 0;
	snprintf(params->server, size, format[2], (unsigned int)geteuid());
	if (is_socket(params->server, 1))
		return 0;
	SNDERR("aes67: no engine is running, start aes67-daemon: there is no socket %s, "
	       "$XDG_RUNTIME_DIR/aes67/alsa.sock or %s (SERVER=... or AES67_SERVER names another)",
	       format[0], params->server);
	return -ENODEV;
}

int params_read(struct params *params, snd_config_t *conf)
{
	snd_config_iterator_t i, next;

	memset(params, 0, sizeof(*params));
	params->grace_ms = GRACE_DEFAULT_MS;
	snd_config_for_each (i, next, conf) {
		snd_config_t *node = snd_config_iterator_entry(i);
		const char *id;
		int err;

		if (snd_config_get_id(node, &id) < 0 || !id)
			continue;
		err = read_field(params, id, node);
		if (err < 0)
			return err;
	}
	return find_server(params);
}

void params_unreachable(const struct params *params, int err)
{
	if (err == -EACCES)
		SNDERR("aes67: no right to open %s: a daemon of root's gives it to the group audio "
		       "(usermod -aG audio USER, then log in anew)",
		       params->server);
	else
		SNDERR("aes67: cannot reach the engine at %s: %s%s", params->server,
		       snd_strerror(err),
		       err == -ECONNREFUSED ? " (left by a daemon that was killed? remove it, or "
					      "set AES67_SERVER)"
					    : "");
}
