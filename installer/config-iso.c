/* SPDX-License-Identifier: Apache-2.0 */
/* iso: disk, users and the rest; its network stands in config-iso-network.c. */
#include "installer/config-iso.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config-fields.h"
#include "installer/config-syntax.h"
#include "installer/credentials.h"

#define AT(member) offsetof(struct byoh_config, member)
#define NAME_MAX_LENGTH 32 /* of a user: useradd(8) */

static const char *const transports[] = { "any", "nvme", "sata", "scsi", "virtio", "usb", "mmc", NULL };

const char *byoh_transport_name(enum byoh_transport transport)
{
	return transports[transport];
}

static void release_strings(struct byoh_strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
}

static void release_link(struct byoh_iso_link *link)
{
	free(link->name);
	free(link->mac);
	release_strings(&link->addresses);
	free(link->gateway);
	for (size_t i = 0; i < link->route_count; i++) {
		free(link->routes[i].to);
		free(link->routes[i].via);
	}
	free(link->routes);
	free(link->vlan_link);
	release_strings(&link->bond_members);
}

static void release_user(struct byoh_iso_user *user)
{
	free(user->name);
	release_strings(&user->keys);
	byoh_secret_free(user->password_hash);
}

void byoh_config_release_iso(struct byoh_iso *iso)
{
	free(iso->disk.by_id);
	free(iso->disk.by_path);
	free(iso->disk.serial);
	free(iso->disk.wwn);
	free(iso->disk.model);
	free(iso->wipe);
	free(iso->reinstall);
	for (size_t i = 0; i < iso->link_count; i++)
		release_link(&iso->links[i]);
	free(iso->links);
	release_strings(&iso->dns);
	release_strings(&iso->search);
	for (size_t i = 0; i < iso->user_count; i++)
		release_user(&iso->users[i]);
	free(iso->users);
	free(iso->keyboard);
	release_strings(&iso->console);
	free(iso->data_mount);
}

/*
 * Forms
 */

bool byoh_iso_size(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGTP";
	size_t digits = strspn(text, "0123456789");
	const char *unit = text[digits] ? strchr(units, text[digits]) : NULL;
	bool binary = unit && text[digits + 1] == 'i';
	uint64_t value = 0;

	if (!digits || digits > 18 || (text[digits] && !unit) || (unit && text[digits + 1 + binary]))
		return false;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	for (const char *step = units; unit && step <= unit; step++)
		if (__builtin_mul_overflow(value, (uint64_t)(binary ? 1024 : 1000), &value))
			return false;
	*ret = value;
	return value > 0;
}

static bool is_size(const char *text)
{
	uint64_t value;

	return byoh_iso_size(text, &value);
}

/* What a disk says of itself, one line. */
static bool is_disk_text(const char *text)
{
	for (const char *p = text; *p; p++)
		if (!isprint((unsigned char)*p))
			return false;
	return *text && strlen(text) <= 255;
}

/* A name in a folder below /dev/disk, with or without that folder. */
static bool is_link_of(const char *text, const char *folder)
{
	if (strncmp(text, folder, strlen(folder)) == 0)
		text += strlen(folder);
	return is_disk_text(text) && !strchr(text, '/') && !strchr(text, ' ');
}

static bool is_by_id(const char *text)
{
	return is_link_of(text, "/dev/disk/by-id/");
}

static bool is_by_path(const char *text)
{
	return is_link_of(text, "/dev/disk/by-path/");
}

static bool is_id(const char *text)
{
	return is_disk_text(text);
}

static bool is_user_name(const char *text)
{
	return strlen(text) <= NAME_MAX_LENGTH && (islower((unsigned char)*text) || *text == '_') &&
	       !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-")];
}

/* "[options ]TYPE BASE64[ comment]" is what sshd reads; options are left to who edits the file later. */
static bool is_ssh_key(const char *text)
{
	static const char *const types[] = { "ssh-ed25519 ", "ssh-rsa ", "ecdsa-sha2-nistp256 ", "ecdsa-sha2-nistp384 ",
					     "ecdsa-sha2-nistp521 ", "sk-ssh-ed25519@openssh.com ",
					     "sk-ecdsa-sha2-nistp256@openssh.com " };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strncmp(text, types[i], strlen(types[i])) == 0)
			return strncmp(text + strlen(types[i]), "AAAA", 4) == 0 && strlen(text) <= 8192 &&
			       !strpbrk(text, "\r\n");
	return false;
}

/* crypt(5): "$id$...", one field of /etc/shadow. */
static bool is_password_hash(const char *text)
{
	return text[0] == '$' && strlen(text) >= 13 && strlen(text) <= 384 && strchr(text + 1, '$') &&
	       !text[strspn(text, "./$,=_-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")];
}

static bool is_keyboard(const char *text)
{
	return *text && strlen(text) <= 32 && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-")];
}

static bool is_console(const char *text)
{
	return strncmp(text, "tty", 3) == 0 && strlen(text) <= 32 &&
	       !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,")];
}

/* Where data may lie without standing in the way of the system itself. */
static bool is_data_mount(const char *text)
{
	static const char *const folders[] = { "/var/lib/", "/srv/", "/data", "/mnt/", "/opt/" };

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (strncmp(text, folders[i], strlen(folders[i])) == 0)
			return byoh_is_host_path(text) && strcmp(text, "/var/lib/byoh") != 0;
	return false;
}

/*
 * disk, data
 */

struct disk_texts {
	char *by_id, *by_path, *min, *max;
};

static void release_texts(struct disk_texts *texts)
{
	free(texts->by_id);
	free(texts->by_path);
	free(texts->min);
	free(texts->max);
}

static int keep_last_part(const char *text, char **ret, struct byoh_error *err)
{
	const char *slash = text ? strrchr(text, '/') : NULL;

	return text ? byoh_config_copy(slash ? slash + 1 : text, ret, err) : 0;
}

static int check_match(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		       const struct byoh_disk_match *match, struct byoh_error *err)
{
	if (match->min_size && match->max_size && match->min_size > match->max_size)
		return byoh_yaml_fail(reader->doc, map, err, "\"minSize\" is larger than \"maxSize\": no disk is both");
	if (match->by_id || match->by_path || match->serial || match->wwn || match->model || match->transport ||
	    match->min_size || match->max_size)
		return 0;
	return byoh_yaml_fail(reader->doc, map, err,
			      "\"disk\" names none; give its byId, byPath, serial, wwn, model, size or transport (the mode "
			      "inspect shows them)");
}

static const struct byoh_field *with_size(const char *key, size_t offset, struct byoh_field *ret)
{
	*ret = (struct byoh_field){ .key = key, .type = BYOH_FIELD_STRING, .offset = offset, .valid = is_size,
				    .form = "a size like 100G, 100Gi or bytes" };
	return ret;
}

static int read_disk(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map, struct byoh_error *err)
{
	struct byoh_disk_match *match = &reader->config->iso.disk;
	static const struct byoh_field fields[] = {
		{ .key = "serial", .type = BYOH_FIELD_STRING, .offset = offsetof(struct byoh_disk_match, serial),
		  .valid = is_disk_text, .form = "a serial number" },
		{ .key = "wwn", .type = BYOH_FIELD_STRING, .offset = offsetof(struct byoh_disk_match, wwn),
		  .valid = is_disk_text, .form = "a world wide name (0x5000c5..., eui..., nvme...)" },
		{ .key = "model", .type = BYOH_FIELD_STRING, .offset = offsetof(struct byoh_disk_match, model),
		  .valid = is_disk_text, .form = "the disk's model" },
		{ .key = "transport", .type = BYOH_FIELD_CHOICE, .offset = offsetof(struct byoh_disk_match, transport),
		  .choices = transports },
		{ .key = "removable", .type = BYOH_FIELD_BOOL, .offset = offsetof(struct byoh_disk_match, removable) },
		{ .key = "byId" }, { .key = "byPath" }, { .key = "minSize" }, { .key = "maxSize" },
	};
	struct byoh_field more[] = {
		{ .key = "byId", .type = BYOH_FIELD_STRING, .offset = offsetof(struct disk_texts, by_id), .valid = is_by_id,
		  .form = "a name of /dev/disk/by-id" },
		{ .key = "byPath", .type = BYOH_FIELD_STRING, .offset = offsetof(struct disk_texts, by_path),
		  .valid = is_by_path, .form = "a name of /dev/disk/by-path" },
		{ 0 }, { 0 },
		{ .key = "serial" }, { .key = "wwn" }, { .key = "model" }, { .key = "transport" }, { .key = "removable" },
	};
	CLEANUP(release_texts) struct disk_texts texts = { 0 };
	int r;

	if (!map)
		return 0;
	with_size("minSize", offsetof(struct disk_texts, min), &more[2]);
	with_size("maxSize", offsetof(struct disk_texts, max), &more[3]);
	r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), match, err);
	if (r == 0)
		r = byoh_config_fields(reader, map, more, ARRAY_SIZE(more), &texts, err);
	if (r == 0)
		r = keep_last_part(texts.by_id, &match->by_id, err);
	if (r == 0)
		r = keep_last_part(texts.by_path, &match->by_path, err);
	if (r < 0)
		return r;
	if (texts.min)
		(void)byoh_iso_size(texts.min, &match->min_size);
	if (texts.max)
		(void)byoh_iso_size(texts.max, &match->max_size);
	reader->config->iso.has_disk = true;
	return check_match(reader, map, match, err);
}

static int read_data(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map, struct byoh_error *err)
{
	struct byoh_iso *iso = &reader->config->iso;
	struct byoh_field fields[] = {
		{ 0 },
		{ .key = "mount", .type = BYOH_FIELD_STRING, .offset = sizeof(char *), .valid = is_data_mount,
		  .form = "a folder below /var/lib, /srv, /opt or /mnt, or /data" },
	};
	char *texts[2] = { NULL, NULL };
	int r;

	if (!map)
		return 0;
	with_size("size", 0, &fields[0]);
	r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), texts, err);
	if (r == 0 && (!texts[0] || !texts[1]))
		r = byoh_yaml_fail(reader->doc, map, err, "\"data\" needs both \"mount\" and \"size\"");
	if (r == 0)
		(void)byoh_iso_size(texts[0], &iso->data_size);
	free(texts[0]);
	if (r == 0)
		iso->data_mount = texts[1];
	else
		free(texts[1]);
	return r;
}

/*
 * users
 */

static int read_user(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		     struct byoh_iso_user *user, struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "name", .type = BYOH_FIELD_STRING, .offset = offsetof(struct byoh_iso_user, name),
		  .valid = is_user_name, .form = "a user's name (a-z, 0-9, _ and -; at most 32 characters)" },
		{ .key = "sshKeys", .type = BYOH_FIELD_STRINGS, .offset = offsetof(struct byoh_iso_user, keys),
		  .valid = is_ssh_key, .form = "a list of SSH public keys, as *.pub files have them" },
		{ .key = "passwordHash", .type = BYOH_FIELD_SECRET, .offset = offsetof(struct byoh_iso_user, password_hash),
		  .valid = is_password_hash, .form = "a hash like $6$..., by `openssl passwd -6`" },
		{ .key = "sudo", .type = BYOH_FIELD_BOOL, .offset = offsetof(struct byoh_iso_user, sudo) },
	};
	int r = map->type == BYOH_YAML_MAPPING ?
			byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), user, err) :
			byoh_yaml_fail(reader->doc, map, err, "a user must be a mapping: {name: ..., sshKeys: [...]}");

	if (r < 0)
		return r;
	if (!user->name)
		return byoh_yaml_fail(reader->doc, map, err, "a user needs a \"name\"");
	if (!user->keys.count && !user->password_hash)
		return byoh_yaml_fail(reader->doc, map, err,
				      "the user %s could not log in: give sshKeys, passwordHash or both", user->name);
	if (user->sudo && strcmp(user->name, "root") == 0)
		return byoh_yaml_fail(reader->doc, byoh_config_key_node(map, "sudo"), err,
				      "\"sudo\" has no effect for root; remove it");
	return 0;
}

static int read_users(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map, struct byoh_error *err)
{
	struct byoh_iso *iso = &reader->config->iso;
	const struct byoh_yaml_node *list = NULL;
	int r = byoh_yaml_read_node(reader->doc, map, "users", BYOH_YAML_SEQUENCE, false, &list, err);

	if (r < 0 || !list || !list->count)
		return r;
	if (list->count > BYOH_ISO_USERS_MAX)
		return byoh_yaml_fail(reader->doc, list, err, "\"users\" holds more than %d entries", BYOH_ISO_USERS_MAX);
	iso->users = calloc(list->count, sizeof(*iso->users));
	if (!iso->users)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < list->count && r == 0; i++) {
		iso->user_count = i + 1;
		r = read_user(reader, list->items[i], &iso->users[i], err);
		for (size_t j = 0; j < i && r == 0; j++)
			if (strcmp(iso->users[i].name, iso->users[j].name) == 0)
				r = byoh_yaml_fail(reader->doc, list->items[i], err, "the user %s stands here twice",
						   iso->users[i].name);
	}
	return r;
}

/*
 * The section
 */

/* They are the host's, wherever they are written; two places would be two answers. */
static int check_once(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map, const char *key,
		      size_t count, const char *other, struct byoh_error *err)
{
	if (!byoh_config_get(map, key) || !count)
		return 0;
	return byoh_yaml_fail(reader->doc, byoh_config_key_node(map, key), err,
			      "\"%s\" is the same as %s, which is given too; keep one of them", key, other);
}

static int check_section(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			 struct byoh_error *err)
{
	const struct byoh_iso *iso = &reader->config->iso;

	if (iso->mode == BYOH_ISO_INSTALL && !iso->has_disk)
		return byoh_yaml_fail(reader->doc, byoh_config_key_node(map, "mode"), err,
				      "\"mode: install\" needs \"disk\": which disk may be written is never guessed (the mode "
				      "inspect shows them)");
	return 0;
}

int byoh_config_read_iso(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			 struct byoh_error *err)
{
	static const char *const modes[] = { "inspect", "install", NULL };
	static const char *const afters[] = { "reboot", "poweroff", "stay", NULL };
	static const char *const clocks[] = { "medium", "keep", NULL };
	static const struct byoh_field fields[] = {
		{ .key = "mode", .type = BYOH_FIELD_CHOICE, .offset = AT(iso.mode), .choices = modes },
		{ .key = "after", .type = BYOH_FIELD_CHOICE, .offset = AT(iso.after), .choices = afters },
		{ .key = "clock", .type = BYOH_FIELD_CHOICE, .offset = AT(iso.clock), .choices = clocks },
		{ .key = "wipe", .type = BYOH_FIELD_STRING, .offset = AT(iso.wipe), .valid = is_id,
		  .form = "the serial number or table id of the disk whose content may go" },
		{ .key = "reinstall", .type = BYOH_FIELD_STRING, .offset = AT(iso.reinstall), .valid = is_id,
		  .form = "the id of the installation that may be replaced" },
		{ .key = "hosts", .type = BYOH_FIELD_PAIRS, .offset = AT(host.hosts), .valid = byoh_is_host_names,
		  .valid_key = byoh_is_ip, .form = "addresses with their names, {10.0.0.1: \"api.lan api\"}" },
		{ .key = "timeServers", .type = BYOH_FIELD_STRINGS, .offset = AT(host.ntp), .valid = byoh_is_host,
		  .form = "a list of host names or addresses of time servers" },
		{ .key = "keyboard", .type = BYOH_FIELD_STRING, .offset = AT(iso.keyboard), .valid = is_keyboard,
		  .form = "an XKB layout like us, de or fr" },
		{ .key = "console", .type = BYOH_FIELD_STRINGS, .offset = AT(iso.console), .valid = is_console,
		  .form = "a list of the kernel's consoles, [tty0, \"ttyS0,115200n8\"]" },
		{ .key = "disk" }, { .key = "network" }, { .key = "users" }, { .key = "data" },
	};
	const struct byoh_yaml_node *disk = NULL, *data = NULL, *network = NULL;
	int r;

	if (!map)
		return 0;
	r = check_once(reader, map, "hosts", reader->config->host.hosts.count, "host.hosts", err);
	if (r == 0)
		r = check_once(reader, map, "timeServers", reader->config->host.ntp.count, "host.ntp", err);
	if (r == 0)
		r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), reader->config, err);
	if (r == 0)
		r = byoh_yaml_read_node(reader->doc, map, "disk", BYOH_YAML_MAPPING, false, &disk, err);
	if (r == 0)
		r = read_disk(reader, disk, err);
	if (r == 0)
		r = byoh_yaml_read_node(reader->doc, map, "data", BYOH_YAML_MAPPING, false, &data, err);
	if (r == 0)
		r = read_data(reader, data, err);
	if (r == 0)
		r = read_users(reader, map, err);
	if (r == 0)
		r = byoh_yaml_read_node(reader->doc, map, "network", BYOH_YAML_MAPPING, false, &network, err);
	if (r == 0)
		r = byoh_config_read_iso_network(reader, network, err);
	return r < 0 ? r : check_section(reader, map, err);
}
