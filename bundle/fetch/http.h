/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP for the publisher, by libcurl: files that resume and are kept only when their digest holds,
 * and small answers. https anywhere; http only where a digest or the caller vouches for the bytes;
 * file.
 */
#ifndef BYOH_BUNDLE_FETCH_HTTP_H
#define BYOH_BUNDLE_FETCH_HTTP_H

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bundle/base/buffer.h"
#include "bundle/base/digest.h"
#include "bundle/base/error.h"

#define BYOH_FETCH_MAX_SIZE ((uint64_t)64 << 30)
#define BYOH_FETCH_SIZE_UNKNOWN UINT64_MAX

struct byoh_fetch_item {
	const char *name; /* stands in messages and progress */
	const char *url;
	const char *path; /* where it goes when it is whole; beside it PATH.part while it is not */
	const struct byoh_digest *digest; /* NULL: take what comes */
	uint64_t size;			  /* expected, or BYOH_FETCH_SIZE_UNKNOWN */
	const char *authorization;	  /* value of that header for the URL's host, or NULL */
	bool refresh;			  /* without a digest: fetch although it is there */
};

struct byoh_fetch_progress {
	uint64_t done, total; /* bytes; total counts what is known so far */
	size_t files_done, files;
	const char *finished; /* name of a file that has just become whole, else NULL */
	bool was_there;	      /* it needed no fetching */
};

struct byoh_fetch_options {
	unsigned int jobs;	 /* at once; 0: 4 */
	unsigned int retries;	 /* without progress, of what may pass: cut lines, 5xx, 429 */
	unsigned int backoff_ms; /* before the first retry, doubled each time; 0: 500 */
	void (*report)(void *context, const struct byoh_fetch_progress *progress); /* may be NULL */
	void *context;
	const atomic_bool *cancel; /* may be NULL; true: end with -EINTR, keeping .part files */
};

/* All of them, or the first failure. A wrong digest is BYOH_ERROR_TRUST, and the file is gone;
 * -EACCES is HTTP's 401 or 403, -ENOENT its 404. Parents of the paths must exist. */
BYOH_MUST_CHECK int byoh_fetch_files(const struct byoh_fetch_item *items, size_t count,
				     const struct byoh_fetch_options *options,
				     struct byoh_error *err);

/* One small answer, whatever its status. */
struct byoh_http_answer {
	long status;
	struct byoh_buffer body;
	char *authenticate; /* WWW-Authenticate, or NULL */
};

void byoh_http_answer_release(struct byoh_http_answer *answer);
#define CLEANUP_HTTP_ANSWER __attribute__((cleanup(byoh_http_answer_release)))

/* headers: NULL-terminated "Name: value". -EFBIG over max bytes. Retried like files. */
BYOH_MUST_CHECK int byoh_http_get(const char *url, const char *const *headers, size_t max,
				  const struct byoh_fetch_options *options,
				  struct byoh_http_answer *ret, struct byoh_error *err);

/* What http.c gives download.c */
BYOH_MUST_CHECK int byoh_http_prepare(CURL *easy, const char *url, struct curl_slist *headers,
				      char *error_text, struct byoh_error *err);
bool byoh_http_is_transient(CURLcode code, long status);
uint64_t byoh_http_backoff(const struct byoh_fetch_options *options,
			   unsigned int attempt); /* milliseconds */

#endif
