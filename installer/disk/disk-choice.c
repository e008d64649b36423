/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/disk/disk-choice.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "bundle/base/cleanup.h"
#include "installer/volume.h"

#define MEDIUM_FOLDER "/run/live/medium"
#define STEPS_MAX 4096 /* from a device down to a disk; a description may go in circles */

static bool is_text(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/*
 * What stands on what
 */

static bool leads_to(const struct byoh_devices *devices, const struct byoh_device *device, const struct byoh_device *disk,
		     unsigned int *steps)
{
	const struct byoh_device *below;

	if (device == disk)
		return true;
	if (++*steps > STEPS_MAX)
		return true; /* who knows: a doubt is a no */
	if (device->parent && (below = byoh_devices_find(devices, device->parent)) &&
	    leads_to(devices, below, disk, steps))
		return true;
	for (size_t i = 0; i < device->slaves.count; i++) {
		below = byoh_devices_find(devices, device->slaves.items[i]);
		if (below && leads_to(devices, below, disk, steps))
			return true;
	}
	return false;
}

/* Does a device stand on the disk, by itself or by way of others? */
static bool stands_on(const struct byoh_devices *devices, const struct byoh_device *device,
		      const struct byoh_device *disk)
{
	unsigned int steps = 0;

	return leads_to(devices, device, disk, &steps);
}

static bool is_mounted_on(const struct byoh_device *device, const char *folder)
{
	for (size_t i = 0; i < device->mounts.count; i++)
		if (strcmp(device->mounts.items[i], folder) == 0)
			return true;
	return false;
}

/* The first of those on the disk that has the property. */
static const struct byoh_device *find_on(const struct byoh_devices *devices, const struct byoh_device *disk,
					 bool (*has)(const struct byoh_device *device))
{
	for (size_t i = 0; i < devices->count; i++)
		if (has(&devices->items[i]) && stands_on(devices, &devices->items[i], disk))
			return &devices->items[i];
	return NULL;
}

static bool holds_medium(const struct byoh_device *device)
{
	return is_mounted_on(device, MEDIUM_FOLDER);
}

static bool holds_config(const struct byoh_device *device)
{
	return is_text(device->fs_label, BYOH_VOLUME_LABEL);
}

static bool has_mount(const struct byoh_device *device)
{
	return device->mounts.count > 0;
}

static bool has_swap(const struct byoh_device *device)
{
	return device->swap;
}

static bool is_stacked(const struct byoh_device *device)
{
	return device->slaves.count > 0;
}

/* Not put together now, and somebody's all the same. */
static bool is_member(const struct byoh_device *device)
{
	static const char *const types[] = { "linux_raid_member", "LVM2_member", "mpath_member", "isw_raid_member",
					     "ddf_raid_member", "bcache", "drbd", "zfs_member", "ceph_bluestore" };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (is_text(device->fs_type, types[i]))
			return true;
	return false;
}

static bool is_root_of_ours(const struct byoh_device *device)
{
	return device->kind == BYOH_DEVICE_PARTITION && is_text(device->part_label, BYOH_LABEL_ROOT);
}

static bool is_unfinished(const struct byoh_device *device)
{
	return device->kind == BYOH_DEVICE_PARTITION && is_text(device->part_label, BYOH_LABEL_UNFINISHED);
}

/*
 * What can never be written
 */

/* No disk in the sense of the match: it is not even counted. */
static bool is_ineligible(const struct byoh_devices *devices, const struct byoh_disk_match *match,
			  const struct byoh_device *disk, char *ret, size_t size)
{
	const struct byoh_device *found;

	ret[0] = '\0';
	if (disk->kind != BYOH_DEVICE_DISK)
		snprintf(ret, size, "no disk of its own");
	else if (find_on(devices, disk, holds_medium))
		snprintf(ret, size, "the boot medium");
	else if ((found = find_on(devices, disk, holds_config)))
		snprintf(ret, size, "the volume " BYOH_VOLUME_LABEL " is on it (%s)", found->name);
	else if (disk->removable && !match->removable)
		snprintf(ret, size, "removable, and iso.disk does not say removable: true");
	else if (disk->size < BYOH_DISK_SMALL && (!match->min_size || disk->size < match->min_size))
		snprintf(ret, size, "smaller than 16 GB, and iso.disk has no minSize that allows it");
	return ret[0] != '\0';
}

/* A disk in use is counted, so that a second one that matches too is not taken in its place. */
static bool is_busy(const struct byoh_devices *devices, const struct byoh_device *disk, char *ret, size_t size)
{
	const struct byoh_device *found;

	ret[0] = '\0';
	if ((found = find_on(devices, disk, has_mount)))
		snprintf(ret, size, "%s is mounted on %.200s", found->name, found->mounts.items[0]);
	else if ((found = find_on(devices, disk, has_swap)))
		snprintf(ret, size, "%s is used as swap", found->name);
	else if ((found = find_on(devices, disk, is_stacked)))
		snprintf(ret, size, "%s stands on it (md, LVM, multipath or another mapping)", found->name);
	else if ((found = find_on(devices, disk, is_member)))
		snprintf(ret, size, "%s is a %s; take it out of its group and erase that with wipefs first", found->name,
			 found->fs_type);
	else if (disk->read_only)
		snprintf(ret, size, "read-only");
	return ret[0] != '\0';
}

void byoh_disk_unfit(const struct byoh_devices *devices, const struct byoh_disk_match *match,
		     const struct byoh_device *disk, char *ret, size_t size)
{
	if (!is_ineligible(devices, match, disk, ret, size))
		(void)is_busy(devices, disk, ret, size);
}

/*
 * The match
 */

/* udev writes an underscore for a blank, and both trim. */
static bool same_text(const char *wanted, const char *is, bool pattern)
{
	size_t i = 0;

	for (; wanted[i] && is[i]; i++) {
		char a = wanted[i] == '_' ? ' ' : wanted[i], b = is[i] == '_' ? ' ' : is[i];

		if (pattern && wanted[i] == '*' && !wanted[i + 1])
			return true;
		if (a != b)
			return false;
	}
	return !is[i] && (!wanted[i] || (pattern && strcmp(wanted + i, "*") == 0));
}

static const char *without_0x(const char *text)
{
	return strncasecmp(text, "0x", 2) == 0 ? text + 2 : text;
}

static bool same_wwn(const char *wanted, const char *is)
{
	is = strncasecmp(is, "naa.", 4) == 0 ? is + 4 : without_0x(is);
	wanted = strncasecmp(wanted, "naa.", 4) == 0 ? wanted + 4 : without_0x(wanted);
	return strcasecmp(wanted, is) == 0;
}

static bool is_among(const struct byoh_strings *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->items[i], name) == 0)
			return true;
	return false;
}

bool byoh_disk_matches(const struct byoh_disk_match *match, const struct byoh_device *disk)
{
	return (!match->by_id || is_among(&disk->by_id, match->by_id)) &&
	       (!match->by_path || is_among(&disk->by_path, match->by_path)) &&
	       (!match->serial || (disk->serial && same_text(match->serial, disk->serial, false))) &&
	       (!match->wwn || (disk->wwn && same_wwn(match->wwn, disk->wwn))) &&
	       (!match->model || (disk->model && same_text(match->model, disk->model, true))) &&
	       (!match->transport || match->transport == disk->transport) && disk->size >= match->min_size &&
	       (!match->max_size || disk->size <= match->max_size);
}

/*
 * What is on it
 */

static size_t count_partitions(const struct byoh_devices *devices, const struct byoh_device *disk)
{
	size_t count = 0;

	for (size_t i = 0; i < devices->count; i++)
		count += is_text(devices->items[i].parent, disk->name);
	return count;
}

static bool is_empty(const struct byoh_devices *devices, const struct byoh_device *disk)
{
	return !disk->table_type && !disk->fs_type && disk->blank && !count_partitions(devices, disk);
}

static void append(char *text, size_t size, const char *more)
{
	size_t have = strlen(text);

	snprintf(text + have, size - have, "%s", more);
}

static void add_content(const struct byoh_device *device, char *ret, size_t size, bool first)
{
	char part[256];

	snprintf(part, sizeof(part), "%s%.30s%s%.60s%s%s%.60s%s", first ? "" : ", ",
		 device->fs_type ? device->fs_type : "unknown", device->fs_label ? " \"" : "",
		 device->fs_label ? device->fs_label : "", device->fs_label ? "\"" : "", device->part_label ? " (" : "",
		 device->part_label ? device->part_label : "", device->part_label ? ")" : "");
	append(ret, size, part);
}

void byoh_disk_content(const struct byoh_devices *devices, const struct byoh_device *disk, char *ret, size_t size)
{
	size_t partitions = count_partitions(devices, disk), shown = 0;

	ret[0] = '\0';
	if (is_empty(devices, disk)) {
		snprintf(ret, size, "empty");
		return;
	}
	if (disk->table_type)
		snprintf(ret, size, "a %.20s table with %zu partition%s%s", disk->table_type, partitions,
			 partitions == 1 ? "" : "s", partitions ? ": " : "");
	for (size_t i = 0; i < devices->count; i++)
		if (is_text(devices->items[i].parent, disk->name))
			add_content(&devices->items[i], ret, size, shown++ == 0);
	if (disk->fs_type && !disk->table_type)
		add_content(disk, ret, size, true);
	if (!ret[0])
		snprintf(ret, size, "bytes of no known format");
}

const char *byoh_disk_installation(const struct byoh_devices *devices, const struct byoh_device *disk)
{
	if (disk->kind != BYOH_DEVICE_DISK || !find_on(devices, disk, is_root_of_ours))
		return NULL;
	return disk->table_id ? disk->table_id : "unknown";
}

/*
 * The choice
 */

#define REFUSE(ret, ...) (snprintf((ret)->sentence, sizeof((ret)->sentence), __VA_ARGS__), (ret)->outcome = BYOH_DISK_REFUSED)

static const char *part_suffix(const char *name)
{
	const char *at = strstr(name, "-part");

	return at && at[5] && !at[5 + strspn(at + 5, "0123456789")] ? at : NULL;
}

static void refuse_none(const struct byoh_devices *devices, const struct byoh_disk_match *match,
			struct byoh_disk_choice *ret)
{
	const char *name = match->by_id && part_suffix(match->by_id) ? match->by_id :
			   match->by_path && part_suffix(match->by_path) ? match->by_path : NULL;
	char why[320];

	if (name) {
		REFUSE(ret, "%.200s is the name of a partition, and a whole disk is written; write iso.disk without \"%s\"",
		       name, part_suffix(name));
		return;
	}
	for (size_t i = 0; i < devices->count; i++) {
		const struct byoh_device *disk = &devices->items[i];

		if (disk->kind == BYOH_DEVICE_PARTITION || !byoh_disk_matches(match, disk))
			continue;
		if (!is_ineligible(devices, match, disk, why, sizeof(why)))
			continue;
		REFUSE(ret, "the only disk that is what iso.disk says is /dev/%.60s, and it cannot be taken: %s", disk->name,
		       why);
		ret->disk = disk;
		return;
	}
	REFUSE(ret, "no disk of this machine is what iso.disk says; the table shows what there is: correct iso.disk");
}

static void refuse_several(const struct byoh_devices *devices, const struct byoh_disk_match *match,
			   struct byoh_disk_choice *ret)
{
	char names[320] = "", why[320];

	for (size_t i = 0; i < devices->count; i++) {
		const struct byoh_device *disk = &devices->items[i];

		if (!byoh_disk_matches(match, disk) || is_ineligible(devices, match, disk, why, sizeof(why)))
			continue;
		append(names, sizeof(names), names[0] ? ", /dev/" : "/dev/");
		append(names, sizeof(names), disk->name);
	}
	REFUSE(ret, "several disks are what iso.disk says (%s), and none is taken by chance; add what tells them apart: "
		    "serial, byId or byPath", names);
}

/* One disk, or none and ret says why. */
static const struct byoh_device *find_match(const struct byoh_devices *devices, const struct byoh_disk_match *match,
					    struct byoh_disk_choice *ret)
{
	const struct byoh_device *found = NULL;
	size_t count = 0;
	char why[320];

	for (size_t i = 0; i < devices->count; i++) {
		const struct byoh_device *disk = &devices->items[i];

		if (!byoh_disk_matches(match, disk) || is_ineligible(devices, match, disk, why, sizeof(why)))
			continue;
		found = disk;
		count++;
	}
	if (count == 0)
		refuse_none(devices, match, ret);
	else if (count > 1)
		refuse_several(devices, match, ret);
	return count == 1 ? found : NULL;
}

/* An installation that nobody has named stays, on whichever disk: the medium may have been left in. */
static bool is_installed(const struct byoh_devices *devices, const struct byoh_iso *iso, struct byoh_disk_choice *ret)
{
	const struct byoh_device *found = NULL;
	bool named = false;

	for (size_t i = 0; i < devices->count; i++) {
		const char *id = byoh_disk_installation(devices, &devices->items[i]);

		if (!id || find_on(devices, &devices->items[i], holds_medium))
			continue;
		found = found ? found : &devices->items[i];
		named = named || (iso->reinstall && strcasecmp(iso->reinstall, id) == 0);
	}
	if (!found || named)
		return false;
	ret->disk = found;
	ret->id = byoh_disk_installation(devices, found);
	ret->outcome = BYOH_DISK_INSTALLED;
	snprintf(ret->sentence, sizeof(ret->sentence),
		 "this machine is installed already: /dev/%.60s holds the installation %.60s, and nothing was changed; take the "
		 "medium out and start from the disk, or write iso.reinstall: %.60s to replace it", found->name, ret->id, ret->id);
	return true;
}

static bool names_disk(const char *wipe, const struct byoh_device *disk)
{
	return (disk->serial && same_text(wipe, disk->serial, false)) || (disk->wwn && same_wwn(wipe, disk->wwn)) ||
	       (disk->table_id && strcasecmp(wipe, disk->table_id) == 0) ||
	       (disk->fs_uuid && strcasecmp(wipe, disk->fs_uuid) == 0);
}

static const char *own_name(const struct byoh_device *disk)
{
	return disk->serial ? disk->serial : disk->table_id ? disk->table_id : disk->wwn ? disk->wwn : disk->fs_uuid;
}

static void refuse_content(const struct byoh_devices *devices, const struct byoh_iso *iso, const struct byoh_device *disk,
			   struct byoh_disk_choice *ret)
{
	const char *name = own_name(disk);
	char content[320];

	byoh_disk_content(devices, disk, content, sizeof(content));
	if (!name)
		REFUSE(ret, "/dev/%.60s is not empty (%s) and has neither serial nor table id to name it by; if it may go, empty "
			    "it with: wipefs -a /dev/%.60s, and zeros over its first MiB", disk->name, content, disk->name);
	else if (iso->wipe)
		REFUSE(ret, "/dev/%.60s is not empty (%s), and iso.wipe names another disk; if its content may go, write "
			    "iso.wipe: \"%.120s\"", disk->name, content, name);
	else
		REFUSE(ret, "/dev/%.60s is not empty (%s); if its content may go, write iso.wipe: \"%.120s\"", disk->name,
		       content, name);
}

void byoh_disk_choose(const struct byoh_devices *devices, const struct byoh_iso *iso, struct byoh_disk_choice *ret)
{
	char why[320];
	const char *id;

	*ret = (struct byoh_disk_choice){ .outcome = BYOH_DISK_REFUSED };
	if (is_installed(devices, iso, ret))
		return;
	if (!iso->has_disk) {
		REFUSE(ret, "the configuration names no disk (iso.disk)");
		return;
	}
	ret->disk = find_match(devices, &iso->disk, ret);
	if (!ret->disk || ret->sentence[0])
		return;
	if (is_busy(devices, ret->disk, why, sizeof(why))) {
		REFUSE(ret, "/dev/%.60s is what iso.disk says, and it is in use: %s", ret->disk->name, why);
		return;
	}
	id = byoh_disk_installation(devices, ret->disk);
	ret->unfinished = !id && find_on(devices, ret->disk, is_unfinished);
	if (id && (!iso->reinstall || strcasecmp(iso->reinstall, id) != 0)) {
		ret->id = id;
		REFUSE(ret, "/dev/%.60s holds the installation %.60s, and iso.reinstall names another one; write iso.reinstall: "
			    "%.60s if this one may go", ret->disk->name, id, id);
	} else if (!id && !ret->unfinished && !is_empty(devices, ret->disk) &&
		   (!iso->wipe || !names_disk(iso->wipe, ret->disk))) {
		refuse_content(devices, iso, ret->disk, ret);
	} else {
		ret->id = id;
		ret->outcome = BYOH_DISK_CHOSEN;
	}
}

static bool same_or_none(const char *a, const char *b)
{
	return (!a && !b) || is_text(a, b);
}

static void name_disk(const struct byoh_device *disk, char *ret, size_t size)
{
	snprintf(ret, size, "/dev/%.60s (%llu bytes, serial %.80s, wwn %.60s, table id %.40s)", disk->name,
		 (unsigned long long)disk->size, disk->serial ? disk->serial : "-", disk->wwn ? disk->wwn : "-",
		 disk->table_id ? disk->table_id : "-");
}

bool byoh_disk_same_choice(const struct byoh_disk_choice *before, const struct byoh_disk_choice *after, char *ret, size_t size)
{
	const struct byoh_device *then = before->disk, *now = after->disk;
	char was[320], is[320];

	ret[0] = '\0';
	if (after->outcome != BYOH_DISK_CHOSEN || !then || !now) {
		snprintf(ret, size, "%s", after->sentence);
		return false;
	}
	if (is_text(then->name, now->name) && then->size == now->size && same_or_none(then->serial, now->serial) &&
	    same_or_none(then->wwn, now->wwn) && same_or_none(then->table_id, now->table_id))
		return true;
	name_disk(then, was, sizeof(was));
	name_disk(now, is, sizeof(is));
	snprintf(ret, size, "it was %s and is now %s", was, is);
	return false;
}

/*
 * The table
 */

static void size_text(uint64_t size, char *ret, size_t room)
{
	static const char *const units[] = { "B", "KB", "MB", "GB", "TB", "PB" };
	size_t unit = 0;
	uint64_t tenths = size > UINT64_MAX / 10 ? UINT64_MAX : size * 10;

	for (; tenths >= 10000 && unit + 1 < ARRAY_SIZE(units); unit++)
		tenths /= 1000;
	snprintf(ret, room, "%llu.%llu %s", (unsigned long long)(tenths / 10), (unsigned long long)(tenths % 10), units[unit]);
}

static const char *or_dash(const char *text)
{
	return text && *text ? text : "-";
}

static int add_row(const struct byoh_devices *devices, const struct byoh_iso *iso, const struct byoh_device *disk,
		   struct byoh_buffer *ret, struct byoh_error *err)
{
	char size[32], why[320], content[320];
	const char *id = byoh_disk_installation(devices, disk);
	bool matches = iso->has_disk && byoh_disk_matches(&iso->disk, disk);

	size_text(disk->size, size, sizeof(size));
	byoh_disk_unfit(devices, &iso->disk, disk, why, sizeof(why));
	byoh_disk_content(devices, disk, content, sizeof(content));
	TRY(byoh_buffer_printf(ret, err, "  /dev/%s  %s  %s  model: %s  serial: %s  wwn: %s  table id: %s\n", disk->name, size,
			       disk->transport ? byoh_transport_name(disk->transport) : "-", or_dash(disk->model),
			       or_dash(disk->serial), or_dash(disk->wwn), or_dash(disk->table_id)));
	for (size_t i = 0; i < disk->by_id.count; i++)
		TRY(byoh_buffer_printf(ret, err, "      byId: %s\n", disk->by_id.items[i]));
	for (size_t i = 0; i < disk->by_path.count; i++)
		TRY(byoh_buffer_printf(ret, err, "      byPath: %s\n", disk->by_path.items[i]));
	TRY(byoh_buffer_printf(ret, err, "      content: %s\n", content));
	if (id)
		TRY(byoh_buffer_printf(ret, err, "      installation: %s\n", id));
	if (why[0])
		TRY(byoh_buffer_printf(ret, err, "      not taken: %s\n", why));
	return matches ? byoh_buffer_printf(ret, err, "      is what iso.disk says\n") : 0;
}

int byoh_disk_table(const struct byoh_devices *devices, const struct byoh_iso *iso, struct byoh_buffer *ret,
		    struct byoh_error *err)
{
	size_t shown = 0;

	for (size_t i = 0; i < devices->count; i++) {
		if (devices->items[i].kind != BYOH_DEVICE_DISK)
			continue;
		TRY(add_row(devices, iso, &devices->items[i], ret, err));
		shown++;
	}
	return shown ? 0 : byoh_buffer_printf(ret, err, "  none\n");
}
