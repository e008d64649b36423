/* SPDX-License-Identifier: Apache-2.0 */
/* Files by libcurl's multi interface: several at once, resumed, kept only with the right digest. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/fetch/http.h"

#define DEFAULT_JOBS 4
#define MAX_JOBS 32
#define POLL_MS 250 /* how often progress is told */
#define ETAG_MAX 256

enum state { WAITING, RUNNING, DONE };

struct transfer {
	const struct byoh_fetch_item *item;
	enum state state;
	CURL *easy;
	struct curl_slist *headers;
	char *part;
	int fd;
	uint64_t offset;   /* bytes in the part */
	uint64_t best;	   /* the most there ever were: retries count while this stands still */
	uint64_t total;	   /* 0: not known yet */
	uint64_t retry_at; /* milliseconds of the monotonic clock */
	unsigned int attempts;
	bool resumed;	/* some bytes are of an earlier run or answer */
	bool restarted; /* a resumed file had the wrong digest: all of it was fetched again */
	bool began;	/* this answer's first byte came */
	bool misplaced; /* this answer is another range than was asked for */
	uint64_t range_start;
	bool has_range;
	char etag[ETAG_MAX];
	char error_text[CURL_ERROR_SIZE];
	struct byoh_error error; /* of a callback */
};

struct download {
	CURLM *multi;
	const struct byoh_fetch_options *options;
	struct transfer *transfers;
	size_t count;
	size_t running;
	struct byoh_fetch_progress progress;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/*
 * What libcurl calls
 */

static bool header_value(const char *line, size_t length, const char *name, char *ret, size_t size)
{
	size_t skip = strlen(name);

	if (length <= skip || strncasecmp(line, name, skip) != 0)
		return false;
	line += skip;
	length -= skip;
	while (length && (*line == ' ' || *line == '\t'))
		line++, length--;
	while (length &&
	       (line[length - 1] == '\r' || line[length - 1] == '\n' || line[length - 1] == ' '))
		length--;
	if (length >= size)
		return false;
	memcpy(ret, line, length);
	ret[length] = '\0';
	return true;
}

static size_t take_header(char *line, size_t size, size_t count, void *context)
{
	struct transfer *t = context;
	char value[ETAG_MAX];

	if (size * count > 5 && strncasecmp(line, "HTTP/", 5) == 0) {
		t->has_range = false;
		*t->etag = '\0';
	}
	/* A weak one promises no equal bytes: no condition for a range (RFC 9110, 13.1.5). */
	if (header_value(line, size * count, "etag:", value, sizeof(value)) && *value == '"')
		memcpy(t->etag, value, sizeof(value));
	if (header_value(line, size * count, "content-range:", value, sizeof(value)) &&
	    strncasecmp(value, "bytes ", 6) == 0) {
		char *end;

		t->range_start = strtoull(value + 6, &end, 10);
		t->has_range = end != value + 6 && *end == '-';
	}
	return size * count;
}

static int truncate_part(struct transfer *t, struct byoh_error *err)
{
	if (ftruncate(t->fd, 0) < 0)
		return byoh_fail_errno(err, "%s", t->part);
	t->offset = 0;
	t->resumed = false;
	return 0;
}

/* A server without ranges answers with the whole: the part begins anew. */
static int begin_body(struct transfer *t)
{
	long status = 0;
	curl_off_t length = -1;

	t->began = true;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	if (status == 206) {
		t->misplaced = !t->has_range || t->range_start != t->offset;
		if (t->misplaced)
			return -ERANGE;
	} else if (t->offset) {
		int r = truncate_part(t, &t->error);

		if (r < 0)
			return r;
	}
	if (length > 0)
		t->total = t->offset + (uint64_t)length;
	return 0;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct transfer *t = context;
	uint64_t max =
		t->item->size == BYOH_FETCH_SIZE_UNKNOWN ? BYOH_FETCH_MAX_SIZE : t->item->size;

	if (!t->began && begin_body(t) < 0)
		return 0;
	if (size * count > max - t->offset) {
		byoh_fail(&t->error, BYOH_ERROR_TRUST, EFBIG,
			  "%s: the server sends more than the %llu bytes "
			  "that are expected",
			  t->item->name, (unsigned long long)max);
		return 0;
	}
	if (byoh_pwrite_all(t->fd, bytes, size * count, t->offset, &t->error) < 0) {
		byoh_error_wrap(&t->error, 0, "%s", t->part);
		return 0;
	}
	t->offset += size * count;
	if (t->offset > t->best) {
		t->best = t->offset;
		t->attempts = 0;
	}
	return size * count;
}

/*
 * A file's way
 */

static void transfer_release(struct transfer *t)
{
	if (t->easy)
		curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	byoh_cleanup_fd(&t->fd);
	free(t->part);
}

/* 1 if the file stands there whole; a damaged one is removed. */
static int is_there(const struct byoh_fetch_item *item, struct byoh_error *err)
{
	CLEANUP_FD int fd = open(item->path, O_RDONLY | O_CLOEXEC);
	struct byoh_digest found;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : byoh_fail_errno(err, "%s", item->path);
	if (!item->digest)
		return !item->refresh;
	r = byoh_digest_fd(fd, UINT64_MAX, &found, NULL, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s", item->path);
	if (byoh_digest_equal(&found, item->digest))
		return 1;
	return unlink(item->path) < 0 && errno != ENOENT ? byoh_fail_errno(err, "%s", item->path)
							 : 0;
}

static int open_part(struct transfer *t, struct byoh_error *err)
{
	struct stat st;

	if (asprintf(&t->part, "%s.part", t->item->path) < 0) {
		t->part = NULL;
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	t->fd = open(t->part, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (t->fd < 0 || fstat(t->fd, &st) < 0)
		return byoh_fail_errno(err, "%s", t->part);
	if (flock(t->fd, LOCK_EX | LOCK_NB) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EBUSY,
				 "%s: another fetch is writing it; wait for it to end", t->part);
	t->offset = (uint64_t)st.st_size;
	/* Without a digest nobody can say that an old part and a new rest belong together. */
	if (!t->item->digest || t->offset > t->item->size || t->offset > BYOH_FETCH_MAX_SIZE)
		return truncate_part(t, err);
	t->resumed = t->offset > 0;
	t->best = t->offset;
	return 0;
}

static int add_header(struct transfer *t, const char *name, const char *value,
		      struct byoh_error *err)
{
	CLEANUP_FREE char *line = NULL;
	struct curl_slist *longer = NULL;

	if (asprintf(&line, "%s: %s", name, value) < 0)
		line = NULL;
	else
		longer = curl_slist_append(t->headers, line);
	if (!longer)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	t->headers = longer;
	return 0;
}

/* A file without a digest resumes only what this run got of the same ETag. */
static int make_headers(struct transfer *t, struct byoh_error *err)
{
	int r = 0;

	curl_slist_free_all(t->headers);
	t->headers = NULL;
	if (t->item->authorization)
		r = add_header(t, "Authorization", t->item->authorization, err);
	if (r == 0 && !t->item->digest && t->offset && *t->etag)
		r = add_header(t, "If-Range", t->etag, err);
	else if (r == 0 && !t->item->digest && t->offset)
		r = truncate_part(t, err);
	return r;
}

static int start(struct download *d, struct transfer *t, struct byoh_error *err)
{
	char range[32];
	int r;

	if (!t->easy)
		t->easy = curl_easy_init();
	if (!t->easy)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (strncmp(t->item->url, "file://", 7) == 0) {
		r = truncate_part(t, err);
		if (r < 0)
			return r;
	}
	r = make_headers(t, err);
	if (r == 0)
		r = byoh_http_prepare(t->easy, t->item->url, t->headers, t->error_text, err);
	if (r < 0)
		return r;
	t->began = t->misplaced = t->has_range = false;
	if (t->offset) {
		snprintf(range, sizeof(range), "%llu-", (unsigned long long)t->offset);
		curl_easy_setopt(t->easy, CURLOPT_RANGE, range);
	}
	curl_easy_setopt(t->easy, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
	curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
	if (curl_multi_add_handle(d->multi, t->easy) != CURLM_OK)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	t->state = RUNNING;
	d->running++;
	return 0;
}

static void report(struct download *d, const char *finished, bool was_there)
{
	struct byoh_fetch_progress *p = &d->progress;

	p->done = p->total = 0;
	for (size_t i = 0; i < d->count; i++) {
		const struct transfer *t = &d->transfers[i];
		uint64_t known =
			t->item->size != BYOH_FETCH_SIZE_UNKNOWN ? t->item->size : t->total;

		p->done += t->offset;
		p->total += known > t->offset ? known : t->offset;
	}
	p->finished = finished;
	p->was_there = was_there;
	if (d->options->report)
		d->options->report(d->options->context, p);
}

static void finish(struct download *d, struct transfer *t, bool was_there)
{
	t->state = DONE;
	d->progress.files_done++;
	byoh_cleanup_fd(&t->fd);
	t->fd = -1;
	report(d, t->item->name, was_there);
}

static int fail_digest(const struct transfer *t, const struct byoh_digest *found,
		       struct byoh_error *err)
{
	char expected[BYOH_DIGEST_HEX_SIZE], hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(t->item->digest, expected);
	byoh_digest_hex(found, hex);
	unlink(t->part);
	return byoh_fail(err, BYOH_ERROR_TRUST, EBADMSG,
			 "%s: the SHA-256 of what came from %s is %s, expected is %s; it was "
			 "thrown away",
			 t->item->name, t->item->url, hex, expected);
}

/* 1: kept. 0: it has to be fetched again, from the start. */
static int keep_or_restart(struct transfer *t, struct byoh_error *err)
{
	struct byoh_digest found;
	uint64_t size = 0;
	int r;

	if (lseek(t->fd, 0, SEEK_SET) < 0)
		return byoh_fail_errno(err, "%s", t->part);
	r = byoh_digest_fd(t->fd, UINT64_MAX, &found, &size, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s", t->part);
	if (t->item->digest && !byoh_digest_equal(&found, t->item->digest)) {
		if (!t->resumed || t->restarted)
			return fail_digest(t, &found, err);
		t->restarted = true;
		return truncate_part(t, err);
	}
	/* Another run believes a name in the cache, so it stands for bytes on the disk. */
	if (fsync(t->fd) < 0 || rename(t->part, t->item->path) < 0)
		return byoh_fail_errno(err, "%s", t->item->path);
	return 1;
}

static int retry_later(struct download *d, struct transfer *t)
{
	t->state = WAITING;
	t->resumed = t->offset > 0;
	t->retry_at = now_ms() + byoh_http_backoff(d->options, ++t->attempts);
	return 0;
}

/* What a caller may want to tell apart: a token that ran out, a thing that is not there. */
static int errnum_of(long status)
{
	return status == 401 || status == 403	? EACCES
	       : status == 404 || status == 410 ? ENOENT
						: EIO;
}

static int fail_transfer(struct transfer *t, CURLcode code, long status, struct byoh_error *err)
{
	if (t->error.kind != BYOH_ERROR_NONE) {
		*err = t->error;
		if (err->kind == BYOH_ERROR_TRUST)
			unlink(t->part);
		return -EIO;
	}
	/* An empty part has nothing to resume. */
	if (t->offset == 0)
		unlink(t->part);
	return byoh_fail(err, BYOH_ERROR_SYSTEM, errnum_of(status), "%s: %s: %s", t->item->name,
			 t->item->url, *t->error_text ? t->error_text : curl_easy_strerror(code));
}

static int ended(struct download *d, struct transfer *t, CURLcode code, struct byoh_error *err)
{
	long status = 0;
	int r;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_multi_remove_handle(d->multi, t->easy);
	d->running--;
	t->state = WAITING;
	if (code == CURLE_OK && !t->began && status != 206 && t->offset) {
		r = truncate_part(t, err); /* the whole is empty */
		if (r < 0)
			return r;
	}
	/* 416: the part is as long as the whole, or longer. */
	if (code == CURLE_OK || (status == 416 && t->offset)) {
		if (status == 416)
			t->resumed = true;
		r = keep_or_restart(t, err);
		if (r > 0)
			finish(d, t, false);
		return r < 0 ? r : 0;
	}
	if (t->misplaced && !t->restarted) {
		t->restarted = true;
		return truncate_part(t, err);
	}
	if (t->error.kind == BYOH_ERROR_NONE && byoh_http_is_transient(code, status) &&
	    t->attempts < d->options->retries)
		return retry_later(d, t);
	return fail_transfer(t, code, status, err);
}

static int begin(struct download *d, struct transfer *t, struct byoh_error *err)
{
	int r;

	if (!t->part) {
		r = is_there(t->item, err);
		if (r > 0)
			finish(d, t, true);
		if (r != 0)
			return r < 0 ? r : 0;
		r = open_part(t, err);
		if (r < 0)
			return r;
		/* A part that is whole already needs no server. */
		if (t->offset && t->offset == t->item->size) {
			r = keep_or_restart(t, err);
			if (r > 0)
				finish(d, t, false);
			if (r != 0)
				return r < 0 ? r : 0;
		}
	}
	return start(d, t, err);
}

static int begin_some(struct download *d, int *ret_wait, struct byoh_error *err)
{
	unsigned int jobs = d->options->jobs ? d->options->jobs : DEFAULT_JOBS;
	uint64_t now = now_ms();

	*ret_wait = POLL_MS;
	for (size_t i = 0; i < d->count && d->running < (jobs < MAX_JOBS ? jobs : MAX_JOBS); i++) {
		struct transfer *t = &d->transfers[i];
		int r;

		if (t->state != WAITING)
			continue;
		if (t->retry_at > now) {
			if (t->retry_at - now < (uint64_t)*ret_wait)
				*ret_wait = (int)(t->retry_at - now);
			continue;
		}
		r = begin(d, t, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_messages(struct download *d, struct byoh_error *err)
{
	CURLMsg *message;
	int left, r = 0;

	while (r == 0 && (message = curl_multi_info_read(d->multi, &left))) {
		CURLcode code = message->data.result;
		struct transfer *t = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		r = ended(d, t, code, err);
	}
	return r;
}

static int run(struct download *d, struct byoh_error *err)
{
	while (d->progress.files_done < d->count) {
		int alive, wait, r = begin_some(d, &wait, err);

		if (r < 0)
			return r;
		if (curl_multi_perform(d->multi, &alive) != CURLM_OK)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, EIO, "libcurl gave up");
		r = take_messages(d, err);
		if (r < 0)
			return r;
		if (d->options->cancel && atomic_load(d->options->cancel))
			return byoh_fail(err, BYOH_ERROR_INTERRUPTED, EINTR,
					 "interrupted; the next run goes on from here");
		report(d, NULL, false);
		/* Something may have become startable by what has just ended. */
		if (!alive && d->running)
			wait = 0;
		if (d->progress.files_done < d->count &&
		    curl_multi_poll(d->multi, NULL, 0, wait, NULL) != CURLM_OK)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, EIO, "libcurl gave up");
	}
	return 0;
}

static int check_items(const struct byoh_fetch_item *items, size_t count, struct byoh_error *err)
{
	for (size_t i = 0; i < count; i++)
		if (!items[i].digest && strncmp(items[i].url, "http://", 7) == 0)
			return byoh_fail(err, BYOH_ERROR_CONFIG, EPERM,
					 "%s: %s: without a digest only https can vouch for the "
					 "bytes",
					 items[i].name, items[i].url);
	return 0;
}

int byoh_fetch_files(const struct byoh_fetch_item *items, size_t count,
		     const struct byoh_fetch_options *options, struct byoh_error *err)
{
	struct download d = { .options = options, .count = count, .progress = { .files = count } };
	int r = check_items(items, count, err);

	if (r < 0)
		return r;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "libcurl does not start");
	d.multi = curl_multi_init();
	d.transfers = calloc(count + 1, sizeof(*d.transfers));
	for (size_t i = 0; d.transfers && i < count; i++)
		d.transfers[i] = (struct transfer){ .item = &items[i], .fd = -1 };
	r = d.multi && d.transfers ? run(&d, err)
				   : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; d.transfers && i < count; i++) {
		if (d.transfers[i].state == RUNNING)
			curl_multi_remove_handle(d.multi, d.transfers[i].easy);
		transfer_release(&d.transfers[i]);
	}
	free(d.transfers);
	if (d.multi)
		curl_multi_cleanup(d.multi);
	curl_global_cleanup();
	return r;
}
