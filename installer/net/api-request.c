/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to the API server, in a process of its own that ends with it. It connects once, shuts itself in
 * behind the filter of every other process here, and only then reads what a stranger sends.
 */
#include "installer/net/api-protocol.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/buffer.h"
#include "bundle/base/cleanup.h"
#include "installer/credentials.h"
#include "installer/net/connect.h"
#include "installer/net/outside-protocol.h"

#define TRANSFER_MILLISECONDS 10000L

static int split_server(const char *server, struct byoh_target *ret, struct byoh_error *err)
{
	if (strncmp(server, "https://", 8) == 0 && byoh_target_of(server, ret))
		return 0;
	return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "\"%.200s\" is no address of an API server", server);
}

static int connect_server(const char *server, struct byoh_error *err)
{
	CLEANUP(byoh_target_release) struct byoh_target target = { 0 };
	int r = split_server(server, &target, err);

	return r < 0 ? r : byoh_connect(&target, server, err);
}

struct exchange {
	CURL *easy;
	struct curl_slist *resolve, *headers;
	const struct byoh_api_request *request;
	struct byoh_buffer *body;
	char error_text[CURL_ERROR_SIZE];
	int verify_error;	/* X509_V_*, of the certificate that was refused */
	char from[32], until[32]; /* its validity */
};

static void release_exchange(struct exchange *exchange)
{
	curl_easy_cleanup(exchange->easy);
	curl_slist_free_all(exchange->resolve);
	curl_slist_free_all(exchange->headers);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct byoh_buffer *body = context;

	if (count > BYOH_API_BODY_MAX - body->size || byoh_buffer_add(body, bytes, size * count, NULL) < 0)
		return 0;
	return count;
}

static void write_date(const ASN1_TIME *time, char ret[static 32])
{
	struct tm parts = { 0 };

	if (!time || ASN1_TIME_to_tm(time, &parts) != 1 || !strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &parts))
		strcpy(ret, "?");
}

static int note_refusal(int accepted, X509_STORE_CTX *store)
{
	SSL *tls = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct exchange *exchange = SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls));
	const X509 *certificate = X509_STORE_CTX_get_current_cert(store);

	if (!accepted && !exchange->verify_error) {
		exchange->verify_error = X509_STORE_CTX_get_error(store);
		write_date(certificate ? X509_get0_notBefore(certificate) : NULL, exchange->from);
		write_date(certificate ? X509_get0_notAfter(certificate) : NULL, exchange->until);
	}
	return accepted;
}

/* libcurl calls it when its own settings stand. */
static CURLcode watch_verification(CURL *easy, void *context, void *argument)
{
	struct exchange *exchange = argument;

	(void)easy;
	SSL_CTX_set_app_data((SSL_CTX *)context, exchange);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, note_refusal);
	return CURLE_OK;
}

static bool add_header(struct curl_slist **headers, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*headers, line);

	if (longer)
		*headers = longer;
	return longer;
}

static bool set_headers(struct exchange *exchange)
{
	const struct byoh_api_request *request = exchange->request;
	CLEANUP_SECRET_BUFFER struct byoh_buffer bearer = { 0 }, type = { 0 };

	/* No "Expect: 100-continue": a second wait for nothing. libyaml refuses some escapes of JSON, and
	 * /version speaks nothing else. */
	if (!add_header(&exchange->headers, "Accept: application/yaml, application/json;q=0.1") ||
	    !add_header(&exchange->headers, "Expect:"))
		return false;
	if (request->token && (byoh_buffer_printf(&bearer, NULL, "Authorization: Bearer %s", request->token) < 0 ||
			       !add_header(&exchange->headers, bearer.data)))
		return false;
	if (request->body && (byoh_buffer_printf(&type, NULL, "Content-Type: %s", request->content_type) < 0 ||
			      !add_header(&exchange->headers, type.data)))
		return false;
	return curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, exchange->headers) == CURLE_OK;
}

static bool set_blob(CURL *easy, CURLoption option, const char *text, size_t size)
{
	struct curl_blob blob = { .data = (void *)text, .len = size, .flags = CURL_BLOB_NOCOPY };

	return curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

static bool set_client(CURL *easy, const struct byoh_api_request *request)
{
	if (!request->certificate)
		return true;
	return curl_easy_setopt(easy, CURLOPT_SSLCERTTYPE, "PEM") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSLKEYTYPE, "PEM") == CURLE_OK &&
	       set_blob(easy, CURLOPT_SSLCERT_BLOB, request->certificate, strlen(request->certificate)) &&
	       set_blob(easy, CURLOPT_SSLKEY_BLOB, request->key, strlen(request->key));
}

/* The CA of the request and no other. */
static bool set_trust(struct exchange *exchange)
{
	const struct byoh_api_request *request = exchange->request;
	CURL *easy = exchange->easy;

	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	if (!request->ca)
		return curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
		       curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK;
	curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, exchange);
	return curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, watch_verification) == CURLE_OK &&
	       set_blob(easy, CURLOPT_CAINFO_BLOB, request->ca->data, request->ca->size);
}

static bool set_connection(struct exchange *exchange, int *fd)
{
	CLEANUP_FREE char *url = NULL;
	CLEANUP(byoh_target_release) struct byoh_target target = { 0 };
	const char *server = exchange->request->server;
	CURL *easy = exchange->easy;
	size_t length = strlen(server);

	while (length && server[length - 1] == '/')
		length--;
	if (split_server(server, &target, NULL) < 0 ||
	    asprintf(&url, "%.*s%s", (int)length, server, exchange->request->path) < 0 ||
	    !byoh_connect_only(easy, &target, fd, &exchange->resolve))
		return false;
	return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
}

static bool set_request(struct exchange *exchange)
{
	const struct byoh_api_request *request = exchange->request;
	CURL *easy = exchange->easy;

	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error_text);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TRANSFER_MILLISECONDS);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "byoh-install/" BYOH_VERSION);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange->body);
	if (request->body) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, byoh_buffer_text(request->body));
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)request->body->size);
	}
	return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK && set_headers(exchange);
}

static bool is_clock(int verify_error)
{
	return verify_error == X509_V_ERR_CERT_NOT_YET_VALID || verify_error == X509_V_ERR_CERT_HAS_EXPIRED;
}

static int fail_clock(const struct exchange *exchange, struct byoh_error *err)
{
	bool early = exchange->verify_error == X509_V_ERR_CERT_NOT_YET_VALID;
	char now[32] = "?";
	time_t clock = time(NULL);
	struct tm parts;

	if (gmtime_r(&clock, &parts))
		strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &parts);
	return byoh_fail(err, BYOH_ERROR_SYSTEM, BYOH_API_CLOCK,
			 "the certificate that %.200s shows is valid %s %s, and by this host's clock it is %s: set the "
			 "clock if it is wrong, else renew that certificate", exchange->request->server,
			 early ? "only from" : "until", early ? exchange->from : exchange->until, now);
}

static int fail_verification(const struct exchange *exchange, struct byoh_error *err)
{
	const char *server = exchange->request->server;

	if (is_clock(exchange->verify_error))
		return fail_clock(exchange, err);
	if (exchange->verify_error)
		return byoh_fail(err, BYOH_ERROR_TRUST, BYOH_API_STRANGER,
				 "who answers at %.200s does not prove itself by the configured CA: %s", server,
				 X509_verify_cert_error_string(exchange->verify_error));
	return byoh_fail(err, BYOH_ERROR_TRUST, BYOH_API_OTHER_NAME,
			 "who answers at %.200s proves itself by the configured CA, but for other names: %s", server,
			 exchange->error_text);
}

static int errnum_of(CURLcode code)
{
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return ETIMEDOUT;
	case CURLE_WRITE_ERROR:
		return EFBIG;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		return ECONNRESET;
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return EINVAL;
	default:
		return EPROTO;
	}
}

static int perform(struct exchange *exchange, unsigned int *ret_status, struct byoh_error *err)
{
	long status = 0;
	CURLcode code = curl_easy_perform(exchange->easy);

	if (code == CURLE_PEER_FAILED_VERIFICATION)
		return fail_verification(exchange, err);
	if (code == CURLE_WRITE_ERROR)
		strcpy(exchange->error_text, "the answer is larger than 1 MiB");
	if (code != CURLE_OK)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, errnum_of(code), "%.200s%.200s: %s",
				 exchange->request->server, exchange->request->path,
				 exchange->error_text[0] ? exchange->error_text : curl_easy_strerror(code));
	curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
	*ret_status = (unsigned int)status;
	return 0;
}

int byoh_api_request_perform(const struct byoh_api_request *request, int parent, unsigned int *ret_status,
			     struct byoh_buffer *ret_body, struct byoh_error *err)
{
	CLEANUP(release_exchange) struct exchange exchange = { .request = request, .body = ret_body };
	CLEANUP_FD int fd = -1;
	int r;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "cannot start libcurl");
	fd = connect_server(request->server, err);
	if (fd < 0)
		return fd;
	r = byoh_connect_shut_in(parent, err);
	if (r < 0)
		return r;
	exchange.easy = curl_easy_init();
	if (!exchange.easy || !set_request(&exchange) || !set_connection(&exchange, &fd) || !set_trust(&exchange) ||
	    !set_client(exchange.easy, request))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "cannot prepare a request");
	return perform(&exchange, ret_status, err);
}
