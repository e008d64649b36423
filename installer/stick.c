/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/stick.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/credentials.h"

#define TOKEN "token"
#define CA "ca.crt"
#define BOOTSTRAP "bootstrap.conf"
#define CONFIG "byoh.yaml"
#define SIGNATURE CONFIG ".sig"

static bool ends_with(const char *name, const char *end)
{
	size_t length = strlen(name), own = strlen(end);

	return length > own && strcmp(name + length - own, end) == 0;
}

static bool is_kubeconfig(const char *name)
{
	return strcmp(name, BOOTSTRAP) == 0 || ends_with(name, ".kubeconfig");
}

static bool is_known(const char *name)
{
	return strcmp(name, TOKEN) == 0 || strcmp(name, CA) == 0 || strcmp(name, CONFIG) == 0 ||
	       strcmp(name, SIGNATURE) == 0 || is_kubeconfig(name);
}

static int read_bytes(int fd, struct byoh_buffer *ret, struct byoh_error *err)
{
	char chunk[8192];
	ssize_t n;
	int rc = 0;

	while (rc == 0 && ret->size <= BYOH_STICK_FILE_MAX && (n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno != EINTR)
			rc = byoh_fail_errno(err, "cannot read");
		else if (n > 0)
			rc = byoh_buffer_add(ret, chunk, (size_t)n, err);
	}
	explicit_bzero(chunk, sizeof(chunk));
	return rc < 0 || ret->size <= BYOH_STICK_FILE_MAX ? rc : -EFBIG;
}

/* 1: read. A pipe does not hold us up, and no device is opened: the volume is mounted without. */
static int read_one(int folder, const char *name, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_FD int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)BYOH_STICK_FILE_MAX) {
		if (!is_known(name))
			return 0;
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "%.100s is no plain file of at most 1 MiB", name);
	}
	rc = read_bytes(fd, ret, err);
	return rc < 0 ? rc : 1;
}

static int keep(struct byoh_stick *stick, const char *name, struct byoh_buffer *bytes, struct byoh_error *err)
{
	struct byoh_stick_file *grown = reallocarray(stick->files, stick->count + 1, sizeof(*grown));
	char *copy = strdup(name);

	if (grown)
		stick->files = grown;
	if (!grown || !copy) {
		free(copy);
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	stick->files[stick->count++] = (struct byoh_stick_file){ copy, *bytes };
	*bytes = (struct byoh_buffer){ 0 };
	return 0;
}

static int note_kind(struct byoh_stick *stick, struct byoh_error *err)
{
	int at = (int)stick->count - 1;
	const char *name = stick->files[at].name;

	if (strcmp(name, TOKEN) == 0)
		stick->token = at;
	else if (strcmp(name, CA) == 0)
		stick->ca = at;
	else if (strcmp(name, CONFIG) == 0)
		stick->config = at;
	else if (strcmp(name, SIGNATURE) == 0)
		stick->signature = at;
	else if (is_kubeconfig(name) && stick->kubeconfig >= 0)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EEXIST, "two kubeconfigs lie there, %.100s and %.100s; leave one, "
				 "or name it with --kubeconfig", stick->files[stick->kubeconfig].name, name);
	else if (is_kubeconfig(name))
		stick->kubeconfig = at;
	return 0;
}

static int take(struct byoh_stick *stick, int folder, const char *name, size_t *total, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer bytes = { 0 };
	int rc = read_one(folder, name, &bytes, err);

	if (rc <= 0)
		return rc;
	*total += bytes.size;
	if (stick->count == BYOH_STICK_FILES_MAX || *total > BYOH_STICK_TOTAL_MAX)
		return byoh_fail(err, BYOH_ERROR_CONFIG, E2BIG, "too many files lie beside " CONFIG "; put it and what it "
				 "names in a folder of their own");
	rc = keep(stick, name, &bytes, err);
	return rc < 0 ? rc : note_kind(stick, err);
}

static int each(struct byoh_stick *stick, int folder, bool known, size_t *total, struct byoh_error *err)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	size_t names = 0;
	int rc = dir ? 0 : byoh_fail_errno(err, "cannot list it");

	while (rc == 0 && (entry = readdir(dir)) && names++ < BYOH_STICK_NAMES_MAX)
		if (entry->d_name[0] != '.' && byoh_path_is_clean(entry->d_name) && is_known(entry->d_name) == known)
			rc = take(stick, folder, entry->d_name, total, err);
	return rc;
}

int byoh_stick_read(const char *folder, struct byoh_stick *ret, struct byoh_error *err)
{
	CLEANUP_STICK struct byoh_stick stick = { .token = -1, .ca = -1, .kubeconfig = -1, .config = -1, .signature = -1 };
	CLEANUP_FD int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t total = 0;
	int rc;

	if (fd < 0)
		return byoh_fail(err, BYOH_ERROR_USAGE, errno, "cannot open the folder %.200s: %s", folder,
				 strerror(errno));
	stick.folder = strdup(folder);
	if (!stick.folder)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	rc = each(&stick, fd, true, &total, err);
	if (rc == 0 && stick.config >= 0)
		rc = each(&stick, fd, false, &total, err);
	if (rc == 0 && stick.token < 0 && stick.ca < 0 && stick.kubeconfig < 0 && stick.config < 0)
		rc = byoh_fail(err, BYOH_ERROR_CONFIG, ENOENT, "nothing to join with lies there: no " TOKEN ", no " CA
			       ", no " BOOTSTRAP " or *.kubeconfig, no " CONFIG);
	if (rc < 0)
		return byoh_error_wrap(err, rc, "%.200s", folder);
	*ret = stick;
	stick = (struct byoh_stick){ 0 };
	return 0;
}

void byoh_stick_release(struct byoh_stick *stick)
{
	for (size_t i = 0; i < stick->count; i++) {
		free(stick->files[i].name);
		byoh_secret_buffer_release(&stick->files[i].bytes);
	}
	free(stick->files);
	free(stick->folder);
	*stick = (struct byoh_stick){ 0 };
}

int byoh_stick_unpack(const struct byoh_stick *stick, char **ret, struct byoh_error *err)
{
	/* Memory, where there is any: a token has no business on a disk. */
	const char *parent = access("/run", W_OK) == 0 ? "/run" : getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FD int fd = -1;
	int rc = 0;

	if (asprintf(&path, "%s/byoh-stick-XXXXXX", parent) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (!mkdtemp(path))
		return byoh_fail_errno(err, "cannot make a folder in %s", parent);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		rc = byoh_fail_errno(err, "cannot open %s", path);
	for (size_t i = 0; i < stick->count && rc == 0; i++)
		rc = byoh_write_file(fd, stick->files[i].name, byoh_buffer_text(&stick->files[i].bytes),
				     stick->files[i].bytes.size, 0600, err);
	if (rc < 0)
		byoh_stick_clear(stick, path);
	else
		*ret = TAKE_PTR(path);
	return rc;
}

void byoh_stick_clear(const struct byoh_stick *stick, const char *unpacked)
{
	char path[BYOH_PATH_MAX];

	if (!unpacked)
		return;
	for (size_t i = 0; i < stick->count; i++) {
		snprintf(path, sizeof(path), "%s/%s", unpacked, stick->files[i].name);
		unlink(path);
	}
	rmdir(unpacked);
}
