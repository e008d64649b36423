/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to the mirror, in a process of its own that ends with it. */
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "installer/net/connect.h"
#include "installer/net/mirror-protocol.h"
#include "installer/net/outside-protocol.h"

#define STALL_SECONDS 30L
#define BUFFER_SIZE 262144L

struct transfer {
	const struct byoh_mirror_job *job;
	CURL *easy;
	struct curl_slist *resolve;
	uint64_t pass_over; /* bytes of a whole answer that have come before */
	time_t told;	    /* when the caller was last told that such bytes come */
	bool began;	    /* the answer is the one that was asked for, and its bytes are coming */
	bool closed;	    /* nobody takes the records any more */
	uint64_t range_start, range_whole;
	bool has_range;
	char location[256];
	char error_text[CURL_ERROR_SIZE];
};

static int send_record(const struct transfer *transfer, enum byoh_mirror_record_type type, uint64_t number,
		       const void *bytes, size_t size)
{
	const struct byoh_mirror_record record = { .type = type, .size = (uint32_t)size, .number = number };
	int fd = transfer->job->fd, r = byoh_outside_send(fd, &record, sizeof(record));

	return r < 0 ? r : byoh_outside_send(fd, bytes, size);
}

static void send_failure(const struct transfer *transfer, enum byoh_mirror_failure failure, const char *text)
{
	(void)!send_record(transfer, BYOH_MIRROR_FAILURE, failure, text, strlen(text));
}

static bool is_header(const char *line, size_t length, const char *name)
{
	return length > strlen(name) && strncasecmp(line, name, strlen(name)) == 0;
}

/* "Content-Range: bytes 5-9/10" */
static void parse_range(struct transfer *transfer, const char *line, size_t length)
{
	unsigned long long start, last, whole;
	char text[128];
	int n;

	snprintf(text, sizeof(text), "%.*s", (int)length, line);
	n = sscanf(text, "%*[^:]: bytes %20llu-%20llu/%20llu", &start, &last, &whole);
	transfer->has_range = n >= 2;
	transfer->range_start = n >= 2 ? start : 0;
	transfer->range_whole = n == 3 ? whole : UINT64_MAX;
}

static size_t take_header(char *line, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	size_t length = size * count;

	if (is_header(line, length, "content-range:"))
		parse_range(transfer, line, length);
	if (is_header(line, length, "location:"))
		snprintf(transfer->location, sizeof(transfer->location), "%.*s",
			 (int)strcspn(line + 9, "\r\n") < (int)(length - 9) ? (int)strcspn(line + 9, "\r\n")
									     : (int)(length - 9),
			 line + 9);
	return length;
}

static long status_of(const struct transfer *transfer)
{
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* Where the answer begins, by its head: the whole, or the range that was asked for. */
static bool begin(struct transfer *transfer)
{
	uint64_t whole = UINT64_MAX;
	curl_off_t length = -1;

	if (status_of(transfer) == 206 && transfer->has_range && transfer->range_start == transfer->job->offset) {
		whole = transfer->range_whole;
	} else if (status_of(transfer) == 200) {
		curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
		whole = length >= 0 ? (uint64_t)length : UINT64_MAX;
		transfer->pass_over = transfer->job->offset;
	} else {
		return false;
	}
	transfer->began = true;
	transfer->closed = send_record(transfer, BYOH_MIRROR_HEAD, whole, "", 0) < 0;
	return !transfer->closed;
}

/* To the caller, who gets none of the bytes that are passed over, it would be a silent server. */
static int tell_passing(struct transfer *transfer)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec == transfer->told)
		return 0;
	transfer->told = now.tv_sec;
	return send_record(transfer, BYOH_MIRROR_DATA, 0, "", 0);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	size_t length = size * count, passed;

	if (!transfer->began && !begin(transfer))
		return 0;
	passed = length < transfer->pass_over ? length : (size_t)transfer->pass_over;
	transfer->pass_over -= passed;
	if (passed < length)
		transfer->closed = send_record(transfer, BYOH_MIRROR_DATA, 0, bytes + passed, length - passed) < 0;
	else
		transfer->closed = tell_passing(transfer) < 0;
	return transfer->closed ? 0 : length;
}

/* Static programs know no distribution: the usual places. */
static const char *host_store(void)
{
	static const char *const places[] = {
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], R_OK) == 0)
			return places[i];
	return NULL;
}

static bool set_trust(const struct transfer *transfer)
{
	const struct byoh_buffer *ca = transfer->job->ca;
	struct curl_blob blob = { .flags = CURL_BLOB_NOCOPY };

	curl_easy_setopt(transfer->easy, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(transfer->easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(transfer->easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(transfer->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (!ca)
		return curl_easy_setopt(transfer->easy, CURLOPT_CAINFO, host_store()) == CURLE_OK;
	blob.data = ca->data;
	blob.len = ca->size;
	return curl_easy_setopt(transfer->easy, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK;
}

static bool set_request(struct transfer *transfer, const struct byoh_target *target, int *fd)
{
	CURL *easy = transfer->easy;
	char range[32];

	snprintf(range, sizeof(range), "%llu-", (unsigned long long)transfer->job->offset);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error_text);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_SIZE);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, STALL_SECONDS);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "byoh-install/" BYOH_VERSION);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	if (transfer->job->offset)
		curl_easy_setopt(easy, CURLOPT_RANGE, range);
	return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_URL, transfer->job->url) == CURLE_OK && set_trust(transfer) &&
	       byoh_connect_only(easy, target, fd, &transfer->resolve);
}

static void tell_status(const struct transfer *transfer, long status)
{
	bool passes = status == 408 || status == 425 || status == 429 || status >= 500;
	char text[512];

	if (status >= 300 && status < 400)
		snprintf(text, sizeof(text), "it sends on (%ld) to%s, which is not followed; name that address", status,
			 transfer->location);
	else if (status == 404)
		snprintf(text, sizeof(text), "there is no such file (404)");
	else if (status == 206 || status == 416)
		snprintf(text, sizeof(text), "it answers with another range than was asked for; the file may have "
					     "been exchanged");
	else
		snprintf(text, sizeof(text), "it answers with status %ld", status);
	send_failure(transfer, passes ? BYOH_MIRROR_BROKEN : BYOH_MIRROR_FINAL, text);
}

static enum byoh_mirror_failure failure_of(CURLcode code)
{
	switch (code) {
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_OPERATION_TIMEDOUT:
		return BYOH_MIRROR_BROKEN;
	case CURLE_SSL_CONNECT_ERROR: /* also who speaks no TLS at all */
		return BYOH_MIRROR_NOBODY;
	default:
		return BYOH_MIRROR_FINAL;
	}
}

static void tell_end(struct transfer *transfer, CURLcode code)
{
	const char *text = transfer->error_text[0] ? transfer->error_text : curl_easy_strerror(code);

	if (transfer->closed)
		return;
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		send_failure(transfer, BYOH_MIRROR_STRANGER, text);
	else if (code == CURLE_OK && !transfer->began && status_of(transfer) == 200)
		send_failure(transfer, BYOH_MIRROR_FINAL, "the file is empty");
	else if (!transfer->began && status_of(transfer) && (code == CURLE_OK || code == CURLE_WRITE_ERROR))
		tell_status(transfer, status_of(transfer));
	else if (code == CURLE_OK)
		(void)!send_record(transfer, BYOH_MIRROR_END, 0, "", 0);
	else
		send_failure(transfer, failure_of(code), text);
}

static int connect_server(const struct byoh_mirror_job *job, struct byoh_target *target, struct byoh_error *err)
{
	if (!byoh_target_of(job->url, target))
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "it names no server");
	return byoh_connect(target, target->host, err);
}

void byoh_mirror_perform(const struct byoh_mirror_job *job, int parent)
{
	struct transfer transfer = { .job = job };
	CLEANUP(byoh_target_release) struct byoh_target target = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP_FD int fd = -1;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		send_failure(&transfer, BYOH_MIRROR_FINAL, "cannot start libcurl");
		return;
	}
	fd = connect_server(job, &target, &err);
	if (fd < 0) {
		send_failure(&transfer, BYOH_MIRROR_NOBODY, err.message);
		return;
	}
	transfer.easy = curl_easy_init();
	if (byoh_connect_shut_in(parent, &err) < 0)
		send_failure(&transfer, BYOH_MIRROR_FINAL, err.message);
	else if (!transfer.easy || !set_request(&transfer, &target, &fd))
		send_failure(&transfer, BYOH_MIRROR_FINAL, "out of memory");
	else
		tell_end(&transfer, curl_easy_perform(transfer.easy));
	curl_easy_cleanup(transfer.easy);
	curl_slist_free_all(transfer.resolve);
}
