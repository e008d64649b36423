/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/fetch/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"

#define MAX_REDIRECTS 10L
#define CONNECT_SECONDS 30L
#define STALL_SECONDS 60L
#define MAX_BACKOFF_MS 30000

#ifndef BYOH_VERSION
#define BYOH_VERSION "0"
#endif

void byoh_http_answer_release(struct byoh_http_answer *answer)
{
	byoh_buffer_release(&answer->body);
	free(answer->authenticate);
	*answer = (struct byoh_http_answer){ 0 };
}

/* A static program knows no distribution: the usual places are tried. */
static const char *certificates(void)
{
	static const char *const places[] = {
		"/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
		"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL */
		"/etc/ssl/ca-bundle.pem",	      /* SUSE */
		"/etc/ssl/cert.pem",
	};
	const char *own = getenv("SSL_CERT_FILE");

	if (own && *own)
		return own;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], R_OK) == 0)
			return places[i];
	return NULL;
}

/* From https a redirect never leads to http; from a file nowhere. */
static int set_protocols(CURL *easy, const char *url, struct byoh_error *err)
{
	const char *protocols = "https";
	CURLcode code;

	if (strncmp(url, "http://", 7) == 0)
		protocols = "http,https";
	else if (strncmp(url, "file://", 7) == 0)
		protocols = "file";
	else if (strncmp(url, "https://", 8) != 0)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EPROTONOSUPPORT,
				 "%s: not a https, http or file URL", url);
	code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocols);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR,
					strcmp(protocols, "file") == 0 ? "https" : protocols);
	if (code != CURLE_OK)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EPROTONOSUPPORT, "%s: %s", url,
				 curl_easy_strerror(code));
	return 0;
}

int byoh_http_prepare(CURL *easy, const char *url, struct curl_slist *headers, char *error_text,
		      struct byoh_error *err)
{
	const char *bundle = certificates();
	int r;

	curl_easy_reset(easy);
	r = set_protocols(easy, url, err);
	if (r < 0)
		return r;
	*error_text = '\0';
	if (curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) != CURLE_OK ||
	    (bundle && curl_easy_setopt(easy, CURLOPT_CAINFO, bundle) != CURLE_OK))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "byoh-bundle/" BYOH_VERSION);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(easy, CURLOPT_MAXREDIRS, MAX_REDIRECTS);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, STALL_SECONDS);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	return 0;
}

bool byoh_http_is_transient(CURLcode code, long status)
{
	switch (code) {
	case CURLE_OK:
	case CURLE_HTTP_RETURNED_ERROR:
		return status == 408 || status == 425 || status == 429 || status >= 500;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_SSL_CONNECT_ERROR:
		return true;
	default:
		return false;
	}
}

uint64_t byoh_http_backoff(const struct byoh_fetch_options *options, unsigned int attempt)
{
	uint64_t wait = options->backoff_ms ? options->backoff_ms : 500;

	for (unsigned int i = 1; i < attempt && wait < MAX_BACKOFF_MS; i++)
		wait *= 2;
	return wait < MAX_BACKOFF_MS ? wait : MAX_BACKOFF_MS;
}

/*
 * Small answers
 */

struct small {
	struct byoh_http_answer *answer;
	struct byoh_error *err;
	size_t max;
	int failure;
};

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct small *small = context;

	if (size * count > small->max - small->answer->body.size) {
		small->failure = byoh_fail(small->err, BYOH_ERROR_SYSTEM, EFBIG,
					   "the answer is larger than %zu bytes", small->max);
		return 0;
	}
	small->failure = byoh_buffer_add(&small->answer->body, bytes, size * count, small->err);
	return small->failure < 0 ? 0 : size * count;
}

static size_t take_header(char *line, size_t size, size_t count, void *context)
{
	static const char name[] = "www-authenticate:";
	struct small *small = context;
	size_t length = size * count;

	/* Each answer of a chain of redirects begins with its status line: only the last one
	 * counts. */
	if (length > 5 && strncasecmp(line, "HTTP/", 5) == 0) {
		free(small->answer->authenticate);
		small->answer->authenticate = NULL;
	}
	if (length >= sizeof(name) && strncasecmp(line, name, sizeof(name) - 1) == 0 &&
	    !small->answer->authenticate)
		small->answer->authenticate =
			strndup(line + sizeof(name) - 1, length - (sizeof(name) - 1));
	return length;
}

static int get_once(CURL *easy, const char *url, struct curl_slist *headers, struct small *small,
		    CURLcode *ret_code, char *error_text, struct byoh_error *err)
{
	int r = byoh_http_prepare(easy, url, headers, error_text, err);

	if (r < 0)
		return r;
	byoh_http_answer_release(small->answer);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, small);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, small);
	*ret_code = curl_easy_perform(easy);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &small->answer->status);
	return small->failure;
}

static void wait_ms(uint64_t ms)
{
	struct timespec ts = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

static int get_patiently(CURL *easy, const char *url, struct curl_slist *headers,
			 struct small *small, const struct byoh_fetch_options *options,
			 struct byoh_error *err)
{
	char error_text[CURL_ERROR_SIZE];

	for (unsigned int attempt = 1;; attempt++) {
		CURLcode code = CURLE_OK;
		int r = get_once(easy, url, headers, small, &code, error_text, err);

		if (r < 0)
			return byoh_error_wrap(err, r, "%s", url);
		if (options->cancel && atomic_load(options->cancel))
			return byoh_fail(err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted");
		if (attempt <= options->retries &&
		    byoh_http_is_transient(code, small->answer->status)) {
			wait_ms(byoh_http_backoff(options, attempt));
			continue;
		}
		if (code == CURLE_OK)
			return 0;
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EIO, "%s: %s", url,
				 *error_text ? error_text : curl_easy_strerror(code));
	}
}

static void free_easy(CURL **easy)
{
	if (*easy)
		curl_easy_cleanup(*easy);
}

static void free_headers(struct curl_slist **headers)
{
	curl_slist_free_all(*headers);
}

int byoh_http_get(const char *url, const char *const *headers, size_t max,
		  const struct byoh_fetch_options *options, struct byoh_http_answer *ret,
		  struct byoh_error *err)
{
	struct small small = { .answer = ret, .err = err, .max = max };
	CLEANUP(free_headers) struct curl_slist *list = NULL;
	CLEANUP(free_easy) CURL *easy = curl_easy_init();

	if (!easy)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (; headers && *headers; headers++) {
		struct curl_slist *longer = curl_slist_append(list, *headers);

		if (!longer)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
		list = longer;
	}
	return get_patiently(easy, url, list, &small, options, err);
}
