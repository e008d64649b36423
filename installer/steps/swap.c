/* SPDX-License-Identifier: Apache-2.0 */
/* Swap off, now and after a boot: the devices in use, fstab, units of swap, compressed memory. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/steps/steps-internal.h"

#define MASK_FOLDER "/etc/systemd/system/"

/* Services that make swap in compressed memory, and the template or unit that tells that they are
 * there. */
static const struct {
	const char *unit, *sign;
} compressed[] = {
	{ "systemd-zram-setup@zram0.service", "systemd-zram-setup@.service" },
	{ "zramswap.service", "zramswap.service" },
	{ "zram-config.service", "zram-config.service" },
};

int byoh_unit_name_of_path(const char *path, const char *suffix, struct byoh_buffer *ret,
			   struct byoh_error *err)
{
	bool first = true;
	int rc = 0;

	/* systemd.unit(5): slashes become dashes, the outer ones vanish, all but [a-zA-Z0-9:_.] is
	 * escaped */
	while (*path == '/')
		path++;
	for (; *path && !rc; path++) {
		char c = *path;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || c == ':' || c == '_' || (c == '.' && !first);

		if (c == '/') {
			if (path[1] && path[1] != '/')
				rc = byoh_buffer_add_string(ret, "-", err);
		} else if (plain) {
			rc = byoh_buffer_add(ret, &c, 1, err);
		} else {
			rc = byoh_buffer_printf(ret, err, "\\x%02x", (unsigned char)c);
		}
		first = false;
	}
	return rc ? rc : byoh_buffer_add_string(ret, suffix, err);
}

static bool has_action(const struct byoh_step *step, const char *subject)
{
	for (size_t i = 0; i < step->action_count; i++)
		if (!strcmp(step->actions[i].subject, subject))
			return true;
	return false;
}

static int mask(struct byoh_step *step, const char *unit, struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, MASK_FOLDER "%s", unit) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (has_action(step, path))
		return 0;
	return byoh_step_link(step, path, "/dev/null", err);
}

static int turn_off(const struct byoh_host *host, struct byoh_step *step, struct byoh_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < host->swap_count && !rc; i++) {
		CLEANUP_BUFFER struct byoh_buffer unit = { 0 };

		rc = byoh_step_other(step, BYOH_ACTION_SWAP_OFF, host->swaps[i].device, NULL, NULL,
				     err);
		/* systemd finds swap partitions of GPT disks by itself, without fstab. */
		if (!rc)
			rc = byoh_unit_name_of_path(host->swaps[i].device, ".swap", &unit, err);
		if (!rc)
			rc = mask(step, unit.data, err);
	}
	return rc;
}

static int edit_fstab(const struct byoh_plan_input *input, struct byoh_step *step,
		      struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer old = { 0 };
	CLEANUP_BUFFER struct byoh_buffer new = { 0 };
	size_t entries;
	mode_t mode;
	int rc;

	rc = byoh_steps_read(input->host, "/etc/fstab", &old, &mode, err);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	rc = byoh_fstab_without_swap(byoh_buffer_text(&old), old.size, &new, &entries, err);
	if (rc || !entries)
		return rc;
	return byoh_steps_file(input, step, "/etc/fstab", mode, new.data, new.size, NULL, err);
}

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), tail = strlen(end);

	return size > tail && !strcmp(text + size - tail, end);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Units of swap that lie in a folder, masks of an earlier run among them. Sorted, so that the same
 * host gives the same plan. */
static int mask_units_in(const struct byoh_host *host, const char *folder, struct byoh_step *step,
			 struct byoh_error *err)
{
	CLEANUP_FD int fd =
		byoh_open_beneath(host->root_fd, folder, O_RDONLY | O_DIRECTORY, 0, NULL);
	CLEANUP_DIR DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	char *names[64];
	size_t count = 0;
	int rc = 0;

	if (!directory)
		return 0;
	fd = -1; /* the directory stream's now */
	while (count < ARRAY_SIZE(names) && (entry = readdir(directory)))
		if (ends_with(entry->d_name, ".swap") && (names[count] = strdup(entry->d_name)))
			count++;
	qsort(names, count, sizeof(names[0]), compare_names);
	for (size_t i = 0; i < count; i++) {
		if (!rc)
			rc = mask(step, names[i], err);
		free(names[i]);
	}
	return rc;
}

static int mask_compressed(const struct byoh_plan_input *input, struct byoh_step *step,
			   struct byoh_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(compressed) && !rc; i++)
		if (byoh_steps_unit_exists(input->host, compressed[i].sign))
			rc = mask(step, compressed[i].unit, err);
	if (rc ||
	    !byoh_steps_exists(input->host, "/usr/lib/systemd/system-generators/zram-generator"))
		return rc;
	/* The file in /etc hides the distribution's; one without devices makes none. */
	return byoh_steps_text(input, step, "/etc/systemd/zram-generator.conf", 0644,
			       "# byoh-install: no swap in compressed memory\n", err);
}

int byoh_step_swap(const struct byoh_plan_input *input, struct byoh_step *step,
		   struct byoh_error *err)
{
	int rc;

	if (input->config->host.swap || !byoh_steps_brings(input, BYOH_BIN_KUBELET))
		return 0;
	rc = turn_off(input->host, step, err);
	if (!rc)
		rc = edit_fstab(input, step, err);
	for (size_t i = 0; !rc && byoh_steps_unit_folders[i]; i++)
		rc = mask_units_in(input->host, byoh_steps_unit_folders[i], step, err);
	if (!rc)
		rc = mask_compressed(input, step, err);
	if (rc || !step->action_count)
		return rc;
	return byoh_step_sentence(step, err, "Switch swap off for good");
}
