/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/media.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/slices.h"
#include "installer/net/mirror.h"
#include "installer/report.h"

#define LOOK_MS 200 /* how soon Ctrl-C is heard while a question stands */

struct sources {
	char *folders[BYOH_SLICES_FOLDERS_MAX];
	size_t folder_count;
	char *name; /* of the whole that is in slices; NULL: not known yet */
	char *file; /* a whole file */
};

static void release_sources(struct sources *sources)
{
	for (size_t i = 0; i < sources->folder_count; i++)
		free(sources->folders[i]);
	free(sources->name);
	free(sources->file);
}

static int out_of_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int add_folder(struct sources *sources, char *folder, struct byoh_error *err)
{
	if (!folder)
		return out_of_memory(err);
	if (sources->folder_count == BYOH_SLICES_FOLDERS_MAX) {
		free(folder);
		return byoh_fail(err, BYOH_ERROR_USAGE, E2BIG, "too many --from");
	}
	sources->folders[sources->folder_count++] = folder;
	return 0;
}

static int set_name(struct sources *sources, char *name, const char *where, struct byoh_error *err)
{
	int r = 0;

	if (!name)
		return out_of_memory(err);
	if (!sources->name) {
		sources->name = name;
		return 0;
	}
	if (strcmp(sources->name, name) != 0)
		r = byoh_fail(err, BYOH_ERROR_USAGE, EEXIST, "%s: these are slices of %s, and others are of %s",
			      where, name, sources->name);
	free(name);
	return r;
}

/* DIR/X.bundle.001: any slice names the bundle and the folder. */
static int add_slice(struct sources *sources, const char *path, size_t length, struct byoh_error *err)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	int r = add_folder(sources, slash == path ? strdup("/") :
			   slash ? strndup(path, (size_t)(slash - path)) : strdup("."), err);

	return r < 0 ? r : set_name(sources, strndup(base, length - (size_t)(base - path)), path, err);
}

static bool is_same_whole(const char *file, const char *name)
{
	const char *slash = strrchr(file, '/');

	return strcmp(slash ? slash + 1 : file, name) == 0;
}

/* A folder holds one whole bundle, or slices of one. */
static int add_directory(struct sources *sources, const char *path, bool alone, struct byoh_error *err)
{
	CLEANUP_FREE char *name = NULL;
	CLEANUP_FREE char *file = NULL;
	int r = byoh_slices_find(path, &name, err);

	if (r < 0)
		return r;
	if (alone) {
		r = byoh_discover_bundle(path, &file, err);
		if (r == 0 && name && !is_same_whole(file, name))
			return byoh_fail(err, BYOH_ERROR_USAGE, EEXIST,
					 "%s holds a bundle, and slices of another; name one with --from FILE", path);
		if (r == 0)
			sources->file = TAKE_PTR(file);
		/* Nothing yet: the medium of the next slice may still come. */
		if (r < 0 && r != -ENOENT)
			return r;
	}
	if (name) {
		r = set_name(sources, TAKE_PTR(name), path, err);
		if (r < 0)
			return r;
	}
	return add_folder(sources, strdup(path), err);
}

static int add_source(struct sources *sources, const char *path, bool alone, struct byoh_error *err)
{
	struct stat st;
	size_t length;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return add_directory(sources, path, alone, err);
	if (byoh_slice_is_name(path, &length))
		return add_slice(sources, path, length, err);
	if (!alone)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "several --from name the folders of slices, or slices; %s is neither", path);
	return byoh_discover_bundle(path, &sources->file, err);
}

static bool is_cancelled(const struct byoh_session *session)
{
	return session->cancel && atomic_load(session->cancel);
}

/* One line of the terminal; what was typed does not matter. */
static int wait_for_enter(const struct byoh_session *session, struct byoh_error *err)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[256];
	ssize_t n;

	while (poll(&input, 1, LOOK_MS) <= 0)
		if (is_cancelled(session))
			return byoh_fail(err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted");
	n = read(STDIN_FILENO, line, sizeof(line));
	if (is_cancelled(session))
		return byoh_fail(err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted");
	return n > 0 ? 0 : -ENOMEDIUM;
}

/* Nobody is asked where nobody can answer: exit code 5 says which slice is missing. */
static int ask_for_slice(void *context, const char *name, struct byoh_error *err)
{
	struct byoh_session *session = context;

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return -ENOMEDIUM;
	byoh_report_end_progress(session);
	/* Over what is left of a bar. */
	fprintf(stderr, "\r\033[Kinsert and mount the medium with %s, then Enter; Ctrl-D: go on later, Ctrl-C: undo ", name);
	return wait_for_enter(session, err);
}

static bool has_first(const struct sources *sources)
{
	char path[2 * BYOH_PATH_MAX];

	for (size_t i = 0; i < sources->folder_count; i++) {
		snprintf(path, sizeof(path), "%s/%s.001", sources->folders[i], sources->name);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

/* What an earlier run kept, where it is of slices of that name. */
static int look_at_kept(struct byoh_session *session, struct sources *sources, struct byoh_error *err)
{
	int r = session->host ? byoh_arriving_open(session->host, &session->arriving, err) : 0;

	if (r < 0 || !session->arriving.name)
		return r;
	if (!sources->name)
		return set_name(sources, strdup(session->arriving.name), "", err);
	if (strcmp(sources->name, session->arriving.name) != 0)
		byoh_arriving_release(&session->arriving);
	return 0;
}

/* The same name may stand for another bundle: only the same header may be followed by those bytes. */
static int attach_kept(struct byoh_session *session, struct byoh_reader *reader, struct byoh_error *err)
{
	const struct byoh_slices_kept *kept = &session->arriving.kept;
	uint64_t size = byoh_bundle_header_size(session->bundle);
	CLEANUP_FREE char *header = kept->size >= size ? malloc((size_t)size) : NULL;

	if (kept->size < size)
		return 0;
	if (!header)
		return out_of_memory(err);
	if (byoh_pread_all(kept->fd, header, (size_t)size, 0, NULL) == 0 &&
	    memcmp(header, byoh_bundle_header(session->bundle), (size_t)size) == 0 &&
	    kept->start == byoh_bundle_offset(session->bundle) && kept->length == byoh_slices_length(reader))
		byoh_slices_use_kept(reader, kept);
	return 0;
}

static int open_slices(struct byoh_session *session, struct sources *sources, struct byoh_error *err)
{
	CLEANUP_READER struct byoh_reader *reader = NULL;
	CLEANUP_FREE char *shown = NULL;
	struct byoh_slices_input input = {
		.folders = (const char *const *)sources->folders,
		.folder_count = sources->folder_count,
		.ask = ask_for_slice,
		.context = session,
	};
	bool first;
	int r = look_at_kept(session, sources, err);

	if (r < 0)
		return r;
	if (!sources->name)
		return byoh_fail(err, BYOH_ERROR_USAGE, ENOENT, "%s holds no .run, no .bundle and no slices of one",
				 sources->folders[0]);
	first = has_first(sources);
	input.name = sources->name;
	if (!first && session->arriving.name)
		input.kept = &session->arriving.kept;
	r = byoh_slices_open(&input, &reader, err);
	if (r < 0)
		return r;
	if (asprintf(&shown, "%s/%s", sources->folders[0], sources->name) < 0)
		return out_of_memory(err);
	r = byoh_bundle_open_reader(reader, shown, &session->bundle, err);
	if (r < 0)
		return r;
	r = first && session->arriving.name ? attach_kept(session, reader, err) : 0;
	reader = NULL; /* the bundle's */
	return r;
}

/*
 * Mirrors
 */

int byoh_media_start(struct byoh_session *session, struct byoh_error *err)
{
	const struct byoh_options *options = &session->options;
	const char *url = NULL;

	for (size_t i = 0; i < options->from_count && !url; i++)
		url = byoh_mirror_is_url(options->from[i]) ? options->from[i] : NULL;
	if (!url && options->argument_count && byoh_mirror_is_url(options->arguments[0]))
		url = options->arguments[0];
	if (url)
		return byoh_mirror_start(url, options->mirror_ca, &session->mirror, err);
	if (options->mirror_ca)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "--mirror-ca belongs to --from https://...");
	return 0;
}

static void tell(void *context, const char *message)
{
	struct byoh_session *session = context;

	byoh_report_end_progress(session);
	byoh_report_line(session, "%s", message);
}

static int open_mirror(struct byoh_session *session, const char *url, struct byoh_error *err)
{
	const struct byoh_mirror_watch watch = { tell, session, session->cancel };
	CLEANUP_READER struct byoh_reader *reader = NULL;
	int r = byoh_mirror_open(session->mirror, &watch, &reader, err);

	if (r == 0)
		r = byoh_bundle_open_reader(reader, url, &session->bundle, err);
	if (r == 0)
		reader = NULL;
	return r;
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* RFC 8089: file:///path, file://localhost/path, file:/path; NULL for another host's. The caller frees it. */
static char *path_of_url(const char *url)
{
	char *path, *to;

	url += strlen("file:");
	if (strncmp(url, "//", 2) == 0)
		url += 2;
	if (strncmp(url, "localhost/", 10) == 0)
		url += 9;
	if (*url != '/' || !(path = strdup(url)))
		return NULL;
	for (to = path; *url; url++) {
		int high = *url == '%' ? hex_digit(url[1]) : -1, low = high >= 0 ? hex_digit(url[2]) : -1;

		*to++ = high > 0 && low >= 0 ? (char)(high << 4 | low) : *url;
		url += high > 0 && low >= 0 ? 2 : 0;
	}
	*to = '\0';
	return path;
}

static int add_any(struct sources *sources, const char *path, bool alone, struct byoh_error *err)
{
	CLEANUP_FREE char *local = NULL;

	if (strncmp(path, "file:", 5) != 0)
		return add_source(sources, path, alone, err);
	local = path_of_url(path);
	if (!local)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "%s: a file URL is file:///PATH", path);
	return add_source(sources, local, alone, err);
}

int byoh_media_open(struct byoh_session *session, const char *const *paths, size_t count, struct byoh_error *err)
{
	CLEANUP(release_sources) struct sources sources = { 0 };
	int r = 0;

	if (count == 1 && session->mirror)
		return open_mirror(session, paths[0], err);
	if (session->mirror)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "a mirror is the only --from: it has the whole bundle");
	for (size_t i = 0; i < count && r == 0; i++)
		r = add_any(&sources, paths[i], count == 1, err);
	if (r < 0)
		return r;
	if (sources.file)
		return byoh_bundle_open(sources.file, &session->bundle, err);
	r = open_slices(session, &sources, err);
	/* Ctrl-C gives up what came before, too. */
	if (r == -EINTR && session->lock)
		(void)!byoh_arriving_drop(session->host, NULL);
	return r;
}
