/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * ALSA control device "aes67": volume and switch of the device's two directions, and whether PTP
 * is locked (read-only). The values live in the engine and act there; each access here is one
 * request and its reply. A lost engine is looked for again at the next access.
 */
#define _GNU_SOURCE
#include <alsa/asoundlib.h>
#include <alsa/control_external.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "link.h"
#include "params.h"

#define HELLO_TIMEOUT_MS 1000
#define CARD_NAME "AES67"

struct element {
	const char *name;
	snd_ctl_elem_iface_t iface;
	int type;
	unsigned int access;
};

#define VOLUME_ACCESS (SND_CTL_EXT_ACCESS_READWRITE | SND_CTL_EXT_ACCESS_TLV_READ)

/* In the order of AES67_CTL_... */
static const struct element elements[AES67_CTL_COUNT] = {
	{ "Master Playback Volume", SND_CTL_ELEM_IFACE_MIXER, SND_CTL_ELEM_TYPE_INTEGER,
	  VOLUME_ACCESS },
	{ "Master Playback Switch", SND_CTL_ELEM_IFACE_MIXER, SND_CTL_ELEM_TYPE_BOOLEAN,
	  SND_CTL_EXT_ACCESS_READWRITE },
	{ "Master Capture Volume", SND_CTL_ELEM_IFACE_MIXER, SND_CTL_ELEM_TYPE_INTEGER,
	  VOLUME_ACCESS },
	{ "Master Capture Switch", SND_CTL_ELEM_IFACE_MIXER, SND_CTL_ELEM_TYPE_BOOLEAN,
	  SND_CTL_EXT_ACCESS_READWRITE },
	{ "PTP Locked", SND_CTL_ELEM_IFACE_CARD, SND_CTL_ELEM_TYPE_BOOLEAN,
	  SND_CTL_EXT_ACCESS_READ | SND_CTL_EXT_ACCESS_VOLATILE },
};

/* One dB a step; the lowest is mute. Units of 0.01 dB. */
static const unsigned int volume_tlv[] = {
	SND_CTL_TLVT_DB_MINMAX_MUTE,
	2 * sizeof(unsigned int),
	(unsigned int)(100 * AES67_CTL_VOLUME_MIN_DB),
	(unsigned int)(100 * AES67_CTL_VOLUME_MAX_DB),
};

struct ctl {
	snd_ctl_ext_t ext;
	struct params params;
	struct aes67_msg_hello hello;
	struct link link;
	int idle_fd;
	unsigned int changed; /* bit i: element i waits to be reported */
};

static int is_volume(snd_ctl_ext_key_t key)
{
	return elements[key].type == SND_CTL_ELEM_TYPE_INTEGER;
}

static int connect_engine(struct link *link, const struct ctl *ctl)
{
	int err = link_connect(link, ctl->params.server, &ctl->hello);

	if (err == 0)
		err = link_wait(link, LINK_READY, HELLO_TIMEOUT_MS);
	if (err < 0)
		link_close(link);
	return err;
}

static void take_events(struct ctl *ctl, unsigned int events)
{
	if (events & LINK_EVENT_CONTROL)
		ctl->changed = (1u << AES67_CTL_COUNT) - 1;
	if (events & LINK_EVENT_GONE)
		link_orphan(&ctl->link, ctl->idle_fd);
}

/* Reconnect where the engine went away; 0 or -ENODEV. */
static int ensure_engine(struct ctl *ctl)
{
	struct link next;

	take_events(ctl, link_events(&ctl->link));
	if (ctl->link.stage != LINK_CLOSED)
		return 0;
	link_init(&next);
	if (connect_engine(&next, ctl) < 0)
		return -ENODEV;
	return link_replace(&ctl->link, &next);
}

static int exchange(struct ctl *ctl, uint32_t type, snd_ctl_ext_key_t key, int64_t *value)
{
	unsigned int events = 0;
	int err = ensure_engine(ctl);

	if (err < 0)
		return err;
	err = link_control(&ctl->link, type, (uint32_t)key, value, &events);
	if (err == -ETIMEDOUT || err == -EPIPE || err == -ECONNRESET)
		err = -ENODEV;
	if (err == -ENODEV)
		events |= LINK_EVENT_GONE;
	take_events(ctl, events);
	return err;
}

static int aes67_elem_count(snd_ctl_ext_t *ext)
{
	(void)ext;
	return AES67_CTL_COUNT;
}

static int aes67_elem_list(snd_ctl_ext_t *ext, unsigned int offset, snd_ctl_elem_id_t *id)
{
	(void)ext;
	if (offset >= AES67_CTL_COUNT)
		return -EINVAL;
	snd_ctl_elem_id_set_interface(id, elements[offset].iface);
	snd_ctl_elem_id_set_name(id, elements[offset].name);
	return 0;
}

static snd_ctl_ext_key_t aes67_find_elem(snd_ctl_ext_t *ext, const snd_ctl_elem_id_t *id)
{
	unsigned int numid = snd_ctl_elem_id_get_numid(id);
	const char *name = snd_ctl_elem_id_get_name(id);

	(void)ext;
	if (numid > 0 && numid <= AES67_CTL_COUNT)
		return numid - 1;
	for (unsigned int i = 0; i < AES67_CTL_COUNT; i++)
		if (!strcmp(name, elements[i].name) &&
		    snd_ctl_elem_id_get_interface(id) == elements[i].iface)
			return i;
	return SND_CTL_EXT_KEY_NOT_FOUND;
}

static int aes67_get_attribute(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, int *type,
			       unsigned int *acc, unsigned int *count)
{
	(void)ext;
	*type = elements[key].type;
	*acc = elements[key].access;
	*count = 1;
	return 0;
}

static int aes67_get_integer_info(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, long *imin, long *imax,
				  long *istep)
{
	(void)ext;
	*imin = is_volume(key) ? AES67_CTL_VOLUME_MIN_DB : 0;
	*imax = is_volume(key) ? AES67_CTL_VOLUME_MAX_DB : 1;
	*istep = 1;
	return 0;
}

static int aes67_read_integer(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, long *value)
{
	int64_t current = 0;
	int err = exchange(ext->private_data, AES67_MSG_CTL_READ, key, &current);

	if (err == 0)
		*value = (long)current;
	return err;
}

/* 1: changed, 0: it had that value already. */
static int aes67_write_integer(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, long *value)
{
	long low, high, step, before = 0;
	int64_t wanted = *value;
	int err;

	if (!(elements[key].access & SND_CTL_EXT_ACCESS_WRITE))
		return -EPERM; /* alsa-lib does not look */
	aes67_get_integer_info(ext, key, &low, &high, &step);
	if (wanted < low || wanted > high)
		return -EINVAL;
	err = aes67_read_integer(ext, key, &before);
	if (err < 0 || before == wanted)
		return err;
	err = exchange(ext->private_data, AES67_MSG_CTL_WRITE, key, &wanted);
	if (err < 0)
		return err;
	*value = (long)wanted;
	return 1;
}

static int aes67_read_event(snd_ctl_ext_t *ext, snd_ctl_elem_id_t *id, unsigned int *event_mask)
{
	struct ctl *ctl = ext->private_data;

	if (ctl->link.stage != LINK_CLOSED)
		take_events(ctl, link_events(&ctl->link));
	for (unsigned int i = 0; i < AES67_CTL_COUNT; i++) {
		if (!(ctl->changed & (1u << i)))
			continue;
		ctl->changed &= ~(1u << i);
		aes67_elem_list(ext, i, id);
		snd_ctl_elem_id_set_numid(id, i + 1);
		*event_mask = SND_CTL_EVENT_MASK_VALUE;
		return 1;
	}
	return -EAGAIN;
}

static void destroy(struct ctl *ctl)
{
	link_close(&ctl->link);
	if (ctl->idle_fd >= 0)
		close(ctl->idle_fd);
	free(ctl);
}

static void aes67_close(snd_ctl_ext_t *ext)
{
	destroy(ext->private_data);
}

static const snd_ctl_ext_callback_t callbacks = {
	.close = aes67_close,
	.elem_count = aes67_elem_count,
	.elem_list = aes67_elem_list,
	.find_elem = aes67_find_elem,
	.get_attribute = aes67_get_attribute,
	.get_integer_info = aes67_get_integer_info,
	.read_integer = aes67_read_integer,
	.write_integer = aes67_write_integer,
	.read_event = aes67_read_event,
};

static void describe(struct ctl *ctl)
{
	snd_ctl_ext_t *ext = &ctl->ext;

	ext->version = SND_CTL_EXT_VERSION;
	ext->card_idx = -1;
	strcpy(ext->id, CARD_NAME);
	strcpy(ext->driver, "aes67");
	strcpy(ext->name, "AES67");
	strcpy(ext->longname, "AES67 / RAVENNA network audio");
	strcpy(ext->mixername, "AES67");
	ext->poll_fd = ctl->link.fd;
	ext->callback = &callbacks;
	ext->private_data = ctl;
	ext->tlv.p = volume_tlv;
}

static int open_ctl(struct ctl *ctl, const char *name, int mode)
{
	int err;

	link_init(&ctl->link);
	ctl->hello.is_control = 1;
	ctl->hello.pid = (uint32_t)getpid();
	strncpy((char *)ctl->hello.device, name ? name : "", sizeof(ctl->hello.device) - 1);
	strncpy((char *)ctl->hello.application, program_invocation_short_name,
		sizeof(ctl->hello.application) - 1);
	ctl->idle_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (ctl->idle_fd < 0)
		return -errno;
	err = connect_engine(&ctl->link, ctl);
	if (err < 0) {
		params_unreachable(&ctl->params, err);
		return err == -EACCES || err == -EPERM ? err : -ENODEV;
	}
	describe(ctl);
	return snd_ctl_ext_create(&ctl->ext, name, mode);
}

/* The entry and its version symbol are all that the library exports. */
__attribute__((visibility("default"))) SND_CTL_PLUGIN_DEFINE_FUNC(aes67)
{
	struct ctl *ctl = calloc(1, sizeof(*ctl));
	int err;

	(void)root;
	if (!ctl)
		return -ENOMEM;
	err = params_read(&ctl->params, conf);
	if (err < 0) {
		free(ctl);
		return err;
	}
	err = open_ctl(ctl, name, mode);
	if (err < 0) {
		destroy(ctl);
		return err;
	}
	*handlep = ctl->ext.handle;
	return 0;
}

__attribute__((visibility("default"))) SND_CTL_PLUGIN_SYMBOL(aes67);
