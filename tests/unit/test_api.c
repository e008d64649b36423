/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the API server, made from an empty network namespace, of a server in one that stands for the host's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "installer/net/api.h"
#include "tests/unit/api-server.h"

static void echo(SSL *tls, const char *request)
{
	X509 *client = SSL_get1_peer_certificate(tls);
	struct byoh_buffer text = { 0 };

	CHECK(byoh_buffer_printf(&text, NULL, "HTTP/1.1 409 Conflict\r\n\r\n%s|%s", client ? "client" : "",
				 request) == 0);
	SSL_write(tls, text.data, (int)text.size);
	X509_free(client);
	byoh_buffer_release(&text);
}

static void send_too_much(SSL *tls)
{
	static char zeros[16384];

	SSL_write(tls, "HTTP/1.1 200 OK\r\n\r\n", 19);
	for (size_t sent = 0; sent <= BYOH_API_BODY_MAX; sent += sizeof(zeros))
		if (SSL_write(tls, zeros, sizeof(zeros)) <= 0)
			break;
}

/* Answers GET /version by the row, echoes other requests, and sends too much for /large. */
static void answer(const struct test_server *server, unsigned int count, SSL *tls, const char *request)
{
	(void)count;
	if (!strncmp(request, "GET /version HTTP/1.1\r\n", 23))
		test_server_write(tls, server->context);
	else if (!strncmp(request, "GET /large ", 11))
		send_too_much(tls);
	else
		echo(tls, request);
}

static struct test_server begin(const struct test_identity *id, const char *version)
{
	struct test_server server = { .answer = answer, .id = id, .context = version };

	test_server_begin(&server);
	return server;
}

/* What the server says, and what is to come of it. */
static const struct row {
	const char *answer, *version, *words;
	int result;
	bool strange; /* another CA than the configured one */
	bool v6;
} rows[] = {
	{ "HTTP/1.1 200 OK\r\n\r\n{\"gitVersion\": \"v1.34.1\"}", "v1.34.1", NULL, 0, false, true },
	{ "HTTP/1.1 200 OK\r\n\r\n{\"gitVersion\": \"v1.34.1\"}", NULL, "does not prove itself", -EKEYREJECTED,
	  true, true },
	{ "HTTP/1.1 200 OK\r\n\r\n{\"major\": \"1\", \"minor\": \"34\", \"gitVersion\": \"v1.34.1\"}", "v1.34.1",
	  NULL, 0, false, false },
	{ "HTTP/1.1 200 OK\r\n\r\n{\"gitVersion\": \"v1.34.1\"}", NULL, "does not prove itself", -EKEYREJECTED,
	  true, false },
	{ "HTTP/1.1 401 Unauthorized\r\n\r\n{}", NULL, "401", -EACCES, false, false },
	{ "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/\r\n\r\n", NULL, "302", -EACCES, false, false },
	{ "HTTP/1.1 200 OK\r\n\r\n{\"gitVersion\": \"v1 ; rm\"}", NULL, "no version", -EPROTO, false, false },
	{ "HTTP/1.1 200 OK\r\n\r\n{\"git", NULL, "", -EINVAL, false, false },
	{ "no HTTP at all", NULL, "", -EPROTO, false, false },
};

static const struct row *row;

static void ask(void)
{
	const struct test_validity validity = { row->v6 ? "IP:::1" : "IP:127.0.0.1", -3600, 3600 };
	struct test_identity id = test_identity_make(&validity), other = test_identity_make(&validity);
	struct byoh_buffer ca = test_identity_pem(row->strange ? &other : &id);
	struct test_server server = { .answer = answer, .id = &id, .context = row->answer, .v6 = row->v6 };

	test_server_begin(&server);
	for (int i = 0; i < 2; i++) {
		CLEANUP_BUFFER struct byoh_buffer version = { 0 };
		struct byoh_error err = BYOH_ERROR_INIT;
		int result = byoh_outside_api_version(server.outside, server.url, &ca, &version, &err);

		if (result != row->result || (row->words && !strstr(err.message, row->words)))
			fprintf(stderr, "result %d (%s)\n", result, err.message);
		CHECK(row->result == -EINVAL ? result < 0 : result == row->result);
		CHECK(!row->version || !strcmp(byoh_buffer_text(&version), row->version));
		CHECK(!row->words || strstr(err.message, row->words));
	}
	test_server_end(&server);
}

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		row = &rows[i];
		test_in_child(ask);
	}
}

/* One that may be changed for a case. */
static struct byoh_api_request request_to(const struct test_server *server, const struct byoh_buffer *ca)
{
	return (struct byoh_api_request){ .server = server->url, .ca = ca, .method = "GET", .path = "/api?x=1%2C" };
}

static int send_request(struct test_server *server, const struct byoh_api_request *request, struct byoh_buffer *ret,
			struct byoh_error *err)
{
	unsigned int status = 0;
	int rc;

	byoh_buffer_release(ret);
	*ret = (struct byoh_buffer){ 0 };
	*err = (struct byoh_error)BYOH_ERROR_INIT;
	rc = byoh_outside_api(server->outside, request, &status, ret, err);
	CHECK(rc < 0 || status == 409);
	return rc;
}

static void send_requests(void)
{
	static const struct test_validity client = { NULL, -3600, 3600 };
	struct test_identity id = test_identity_make(&test_validity_usual), me = test_identity_make(&client);
	struct byoh_buffer ca = test_identity_pem(&id), certificate = test_identity_pem(&me), key = test_identity_key(&me), answer = { 0 };
	struct byoh_buffer body = { .data = (char *)"{\"a\": 1}", .size = 8 };
	struct test_server server = begin(&id, "");
	struct byoh_api_request request = request_to(&server, &ca);
	struct byoh_error err;

	CHECK(send_request(&server, &request, &answer, &err) == 0);
	CHECK(!strncmp(answer.data, "|GET /api?x=1%2C HTTP/1.1\r\n", 27));
	CHECK(strstr(answer.data, "\r\nAccept: application/yaml, application/json;q=0.1\r\n"));
	CHECK(!strstr(answer.data, "Authorization") && !strstr(answer.data, "Expect"));

	request.token = "abcdef.0123456789abcdef";
	CHECK(send_request(&server, &request, &answer, &err) == 0);
	CHECK(strstr(answer.data, "\r\nAuthorization: Bearer abcdef.0123456789abcdef\r\n"));

	request.token = NULL;
	request.certificate = certificate.data;
	request.key = key.data;
	request.method = "PATCH";
	request.content_type = "application/merge-patch+json";
	request.body = &body;
	CHECK(send_request(&server, &request, &answer, &err) == 0);
	CHECK(!strncmp(answer.data, "client|PATCH /api?x=1%2C HTTP/1.1\r\n", 35));
	CHECK(strstr(answer.data, "\r\nContent-Type: application/merge-patch+json\r\n"));
	CHECK(strstr(answer.data, "\r\n\r\n{\"a\": 1}"));
	test_server_end(&server);
}

static void test_requests(void **state)
{
	(void)state;
	test_in_child(send_requests);
}

/* The helper outlives what goes wrong with one request. */
static void send_bad_requests(void)
{
	struct test_identity id = test_identity_make(&test_validity_usual);
	struct byoh_buffer ca = test_identity_pem(&id), answer = { 0 };
	struct byoh_buffer body = { .data = (char *)"{}", .size = 2 };
	struct test_server server = begin(&id, "");
	const struct byoh_api_request good = request_to(&server, &ca);
	struct byoh_api_request bad[] = { good, good, good, good, good, good, good, good };
	struct byoh_api_request large = good, other = good;
	struct byoh_error err;

	bad[0].path = "/api HTTP/1.1\r\nX: y";
	bad[1].method = "TRACE";
	bad[2].token = "a\r\nX: y";
	bad[3].ca = NULL;
	bad[3].token = "abcdef.0123456789abcdef";
	bad[4].body = &body;
	bad[5].certificate = ca.data;
	bad[6].server = "https://user@127.0.0.1:6443";
	bad[7].path = "@127.0.0.2/";
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(send_request(&server, &bad[i], &answer, &err) == -EINVAL);
		CHECK(!strstr(err.message, "0123456789abcdef"));
	}
	CHECK(send_request(&server, &good, &answer, &err) == 0);
	large.path = "/large";
	CHECK(send_request(&server, &large, &answer, &err) == -EFBIG);
	other.server = "https://127.0.0.2:6443";
	CHECK(send_request(&server, &other, &answer, &err) == -EACCES);
	CHECK(strstr(err.message, server.url));
	CHECK(send_request(&server, &good, &answer, &err) == 0);
	test_server_end(&server);
}

static void test_bad_requests(void **state)
{
	(void)state;
	test_in_child(send_bad_requests);
}

/* Whose certificate does not suffice, and how. */
static const struct doubtful {
	struct test_validity validity;
	bool strange, verified;
	int result;
	const char *words;
} doubtful[] = {
	{ { "IP:127.0.0.1", -7200, -3600 }, false, true, -BYOH_API_CLOCK, "valid until 20" },
	{ { "IP:127.0.0.1", 3600, 7200 }, false, true, -BYOH_API_CLOCK, "valid only from 20" },
	{ { "IP:127.0.0.2", -3600, 3600 }, false, true, -BYOH_API_OTHER_NAME, "for other names" },
	{ { "IP:127.0.0.1", -3600, 3600 }, true, true, -BYOH_API_STRANGER, "does not prove itself" },
	{ { "IP:127.0.0.2", -7200, -3600 }, true, false, 0, NULL },
};

static const struct doubtful *doubt;

static void ask_doubtful(void)
{
	struct test_identity id = test_identity_make(&doubt->validity), other = test_identity_make(&test_validity_usual);
	struct byoh_buffer ca = test_identity_pem(doubt->strange ? &other : &id), answer = { 0 };
	struct test_server server = begin(&id, "");
	const struct byoh_api_request request = request_to(&server, doubt->verified ? &ca : NULL);
	struct byoh_error err;

	CHECK(send_request(&server, &request, &answer, &err) == doubt->result);
	CHECK(!doubt->words || strstr(err.message, doubt->words));
	test_server_end(&server);
}

static void test_doubtful(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(doubtful); i++) {
		doubt = &doubtful[i];
		test_in_child(ask_doubtful);
	}
}

/* Without a user that owns nothing no request is made, and all the rest of a run works. */
static void ask_with_rights(void)
{
	struct test_identity id = test_identity_make(&test_validity_usual);
	struct byoh_buffer ca = test_identity_pem(&id), answer = { 0 };
	struct test_server server;
	struct byoh_api_request request;
	struct byoh_error err;
	int fd;

	if (geteuid() != 0 || unshare(CLONE_NEWUSER))
		_exit(77);
	fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0 0 1\n", 6) != 6)
		_exit(77);
	server = begin(&id, "");
	request = request_to(&server, &ca);
	CHECK(send_request(&server, &request, &answer, &err) < 0);
	CHECK(strstr(err.message, "cannot give up rights"));
	test_server_end(&server);
}

static void test_no_nobody(void **state)
{
	(void)state;
	test_in_child(ask_with_rights);
}

static void ask_nobody(void)
{
	struct test_identity id = test_identity_make(&test_validity_usual);
	struct byoh_buffer ca = test_identity_pem(&id);
	struct test_server server = begin(&id, "");
	CLEANUP_BUFFER struct byoh_buffer version = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	CHECK(byoh_outside_api_version(server.outside, "https://127.0.0.1:1", &ca, &version, &err) == -ECONNREFUSED);
	CHECK(strstr(err.message, "https://127.0.0.1:1"));
	test_server_end(&server);
}

static void test_nobody_answers(void **state)
{
	(void)state;
	test_in_child(ask_nobody);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_doubtful),
		cmocka_unit_test(test_nobody_answers),
		cmocka_unit_test(test_no_nobody),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
