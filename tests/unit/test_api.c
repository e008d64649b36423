/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the API server, made from an empty network namespace, of a server in one that stands for the host's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bundle/base/buffer.h"
#include "bundle/base/cleanup.h"
#include "installer/net/api.h"
#include "installer/net/outside.h"

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
			_exit(1); \
		} \
	} while (0)
#define CANNOT 77 /* the machine lacks what the test needs */

static void in_child(void (*body)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(60);
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT) {
		fprintf(stderr, "SKIP: needs root and network namespaces\n");
		skip();
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void enter_pretended_host(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd;

	if (unshare(CLONE_NEWNET))
		_exit(CANNOT);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0 && !ioctl(fd, SIOCGIFFLAGS, &request));
	request.ifr_flags |= IFF_UP;
	CHECK(!ioctl(fd, SIOCSIFFLAGS, &request));
	close(fd);
}

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

struct validity {
	const char *address; /* NULL: a client's */
	long from, until;    /* seconds from now */
};

static const struct validity usual = { "IP:127.0.0.1", -3600, 3600 };

/* Its own CA. */
static struct identity make_identity(const struct validity *validity)
{
	struct identity id = { EVP_EC_gen("P-256"), X509_new() };
	X509_EXTENSION *extension;
	X509V3_CTX context;

	CHECK(id.key && id.certificate);
	X509_set_version(id.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(id.certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(id.certificate), validity->from);
	X509_gmtime_adj(X509_getm_notAfter(id.certificate), validity->until);
	X509_set_pubkey(id.certificate, id.key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(id.certificate), "CN", MBSTRING_ASC,
				   (const unsigned char *)(validity->address ? "server" : "client"), -1, -1, 0);
	X509_set_issuer_name(id.certificate, X509_get_subject_name(id.certificate));
	X509V3_set_ctx(&context, id.certificate, id.certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name,
					validity->address ? validity->address : "DNS:client");
	CHECK(extension && X509_add_ext(id.certificate, extension, -1));
	X509_EXTENSION_free(extension);
	CHECK(X509_sign(id.certificate, id.key, EVP_sha256()));
	return id;
}

static struct byoh_buffer text_of(BIO *bio)
{
	struct byoh_buffer ret = { 0 };
	char *bytes;
	long size = BIO_get_mem_data(bio, &bytes);

	CHECK(byoh_buffer_add(&ret, bytes, (size_t)size, NULL) == 0);
	BIO_free(bio);
	return ret;
}

static struct byoh_buffer key_of(const struct identity *id)
{
	BIO *out = BIO_new(BIO_s_mem());

	CHECK(out && PEM_write_bio_PKCS8PrivateKey(out, id->key, NULL, NULL, 0, NULL, NULL));
	return text_of(out);
}

static struct byoh_buffer pem_of(const struct identity *id)
{
	BIO *out = BIO_new(BIO_s_mem());

	CHECK(out && PEM_write_bio_X509(out, id->certificate));
	return text_of(out);
}

static int listen_on_loopback(uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && !bind(fd, (struct sockaddr *)&at, sizeof(at)) && !listen(fd, 8));
	CHECK(!getsockname(fd, (struct sockaddr *)&at, &size));
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static int take_any_client(int accepted, X509_STORE_CTX *store)
{
	(void)accepted;
	(void)store;
	return 1;
}

/* Head and body, which the client sends before it waits. */
static void read_request(SSL *tls, char *ret, size_t size)
{
	size_t have = 0, wanted = size;

	while (have < wanted) {
		int got = SSL_read(tls, ret + have, (int)(size - 1 - have));
		const char *end, *length;

		if (got <= 0)
			return;
		have += (size_t)got;
		ret[have] = '\0';
		end = strstr(ret, "\r\n\r\n");
		length = strstr(ret, "Content-Length: ");
		if (end)
			wanted = (size_t)(end + 4 - ret) + (length ? strtoul(length + 16, NULL, 10) : 0);
	}
}

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

/* Answers GET /version, echoes other requests, and sends too much for /large. */
static void serve(int listener, const struct identity *id, const char *answer)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	CHECK(SSL_CTX_use_certificate(context, id->certificate) == 1 &&
	      SSL_CTX_use_PrivateKey(context, id->key) == 1);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, take_any_client);
	SSL_CTX_set_num_tickets(context, 0);
	for (;;) {
		char request[4096] = "";
		SSL *tls = SSL_new(context);
		int fd = accept(listener, NULL, NULL);

		SSL_set_fd(tls, fd);
		if (SSL_accept(tls) == 1)
			read_request(tls, request, sizeof(request));
		if (!strncmp(request, "GET /version HTTP/1.1\r\n", 23))
			SSL_write(tls, answer, (int)strlen(answer));
		else if (!strncmp(request, "GET /large ", 11))
			send_too_much(tls);
		else if (request[0])
			echo(tls, request);
		SSL_shutdown(tls);
		SSL_free(tls);
		close(fd);
	}
}

/* The pretended host, its server, and the way there. */
struct scene {
	char server[64];
	pid_t pid;
	struct byoh_outside *outside;
};

static struct scene begin(const struct identity *id, const char *answer)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	struct scene scene = { 0 };
	uint16_t port;
	int listener;

	enter_pretended_host();
	listener = listen_on_loopback(&port);
	scene.pid = fork();
	CHECK(scene.pid >= 0);
	if (scene.pid == 0)
		serve(listener, id, answer);
	close(listener);
	snprintf(scene.server, sizeof(scene.server), "https://127.0.0.1:%u", port);
	/* A proxy that is not there would be an error. */
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	CHECK(byoh_outside_start(&scene.outside, &err) == 0);
	return scene;
}

static void end(struct scene *scene)
{
	kill(scene->pid, SIGKILL);
	waitpid(scene->pid, NULL, 0);
	byoh_outside_free(scene->outside);
}

/* What the server says, and what is to come of it. */
static const struct row {
	const char *answer, *version, *words;
	int result;
	bool strange; /* another CA than the configured one */
} rows[] = {
	{ "HTTP/1.1 200 OK\r\n\r\n{\"major\": \"1\", \"minor\": \"34\", \"gitVersion\": \"v1.34.1\"}", "v1.34.1",
	  NULL, 0, false },
	{ "HTTP/1.1 200 OK\r\n\r\n{\"gitVersion\": \"v1.34.1\"}", NULL, "does not prove itself", -EKEYREJECTED,
	  true },
	{ "HTTP/1.1 401 Unauthorized\r\n\r\n{}", NULL, "401", -EACCES, false },
	{ "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/\r\n\r\n", NULL, "302", -EACCES, false },
	{ "HTTP/1.1 200 OK\r\n\r\n{\"gitVersion\": \"v1 ; rm\"}", NULL, "no version", -EPROTO, false },
	{ "HTTP/1.1 200 OK\r\n\r\n{\"git", NULL, "", -EINVAL, false },
	{ "no HTTP at all", NULL, "", -EPROTO, false },
};

static const struct row *row;

static void ask(void)
{
	struct identity id = make_identity(&usual), other = make_identity(&usual);
	struct byoh_buffer ca = pem_of(row->strange ? &other : &id);
	struct scene scene = begin(&id, row->answer);

	for (int i = 0; i < 2; i++) {
		CLEANUP_BUFFER struct byoh_buffer version = { 0 };
		struct byoh_error err = BYOH_ERROR_INIT;
		int result = byoh_outside_api_version(scene.outside, scene.server, &ca, &version, &err);

		if (result != row->result || (row->words && !strstr(err.message, row->words)))
			fprintf(stderr, "result %d (%s)\n", result, err.message);
		CHECK(row->result == -EINVAL ? result < 0 : result == row->result);
		CHECK(!row->version || !strcmp(byoh_buffer_text(&version), row->version));
		CHECK(!row->words || strstr(err.message, row->words));
	}
	end(&scene);
}

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		row = &rows[i];
		in_child(ask);
	}
}

/* One that may be changed for a case. */
static struct byoh_api_request request_to(const struct scene *scene, const struct byoh_buffer *ca)
{
	return (struct byoh_api_request){ .server = scene->server, .ca = ca, .method = "GET", .path = "/api?x=1%2C" };
}

static int send_request(struct scene *scene, const struct byoh_api_request *request, struct byoh_buffer *ret,
			struct byoh_error *err)
{
	unsigned int status = 0;
	int rc;

	byoh_buffer_release(ret);
	*ret = (struct byoh_buffer){ 0 };
	*err = (struct byoh_error)BYOH_ERROR_INIT;
	rc = byoh_outside_api(scene->outside, request, &status, ret, err);
	CHECK(rc < 0 || status == 409);
	return rc;
}

static void send_requests(void)
{
	static const struct validity client = { NULL, -3600, 3600 };
	struct identity id = make_identity(&usual), me = make_identity(&client);
	struct byoh_buffer ca = pem_of(&id), certificate = pem_of(&me), key = key_of(&me), answer = { 0 };
	struct byoh_buffer body = { .data = (char *)"{\"a\": 1}", .size = 8 };
	struct scene scene = begin(&id, "");
	struct byoh_api_request request = request_to(&scene, &ca);
	struct byoh_error err;

	CHECK(send_request(&scene, &request, &answer, &err) == 0);
	CHECK(!strncmp(answer.data, "|GET /api?x=1%2C HTTP/1.1\r\n", 27));
	CHECK(strstr(answer.data, "\r\nAccept: application/yaml\r\n"));
	CHECK(!strstr(answer.data, "Authorization") && !strstr(answer.data, "Expect"));

	request.token = "abcdef.0123456789abcdef";
	CHECK(send_request(&scene, &request, &answer, &err) == 0);
	CHECK(strstr(answer.data, "\r\nAuthorization: Bearer abcdef.0123456789abcdef\r\n"));

	request.token = NULL;
	request.certificate = certificate.data;
	request.key = key.data;
	request.method = "PATCH";
	request.content_type = "application/merge-patch+json";
	request.body = &body;
	CHECK(send_request(&scene, &request, &answer, &err) == 0);
	CHECK(!strncmp(answer.data, "client|PATCH /api?x=1%2C HTTP/1.1\r\n", 35));
	CHECK(strstr(answer.data, "\r\nContent-Type: application/merge-patch+json\r\n"));
	CHECK(strstr(answer.data, "\r\n\r\n{\"a\": 1}"));
	end(&scene);
}

static void test_requests(void **state)
{
	(void)state;
	in_child(send_requests);
}

/* The helper outlives what goes wrong with one request. */
static void send_bad_requests(void)
{
	struct identity id = make_identity(&usual);
	struct byoh_buffer ca = pem_of(&id), answer = { 0 };
	struct byoh_buffer body = { .data = (char *)"{}", .size = 2 };
	struct scene scene = begin(&id, "");
	const struct byoh_api_request good = request_to(&scene, &ca);
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
		CHECK(send_request(&scene, &bad[i], &answer, &err) == -EINVAL);
		CHECK(!strstr(err.message, "0123456789abcdef"));
	}
	CHECK(send_request(&scene, &good, &answer, &err) == 0);
	large.path = "/large";
	CHECK(send_request(&scene, &large, &answer, &err) == -EFBIG);
	other.server = "https://127.0.0.2:6443";
	CHECK(send_request(&scene, &other, &answer, &err) == -EACCES);
	CHECK(strstr(err.message, scene.server));
	CHECK(send_request(&scene, &good, &answer, &err) == 0);
	end(&scene);
}

static void test_bad_requests(void **state)
{
	(void)state;
	in_child(send_bad_requests);
}

/* Whose certificate does not suffice, and how. */
static const struct doubtful {
	struct validity validity;
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
	struct identity id = make_identity(&doubt->validity), other = make_identity(&usual);
	struct byoh_buffer ca = pem_of(doubt->strange ? &other : &id), answer = { 0 };
	struct scene scene = begin(&id, "");
	const struct byoh_api_request request = request_to(&scene, doubt->verified ? &ca : NULL);
	struct byoh_error err;

	CHECK(send_request(&scene, &request, &answer, &err) == doubt->result);
	CHECK(!doubt->words || strstr(err.message, doubt->words));
	end(&scene);
}

static void test_doubtful(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(doubtful); i++) {
		doubt = &doubtful[i];
		in_child(ask_doubtful);
	}
}

static void ask_nobody(void)
{
	struct identity id = make_identity(&usual);
	struct byoh_buffer ca = pem_of(&id);
	CLEANUP(byoh_outside_freep) struct byoh_outside *outside = NULL;
	CLEANUP_BUFFER struct byoh_buffer version = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	enter_pretended_host();
	CHECK(byoh_outside_start(&outside, &err) == 0);
	CHECK(byoh_outside_api_version(outside, "https://127.0.0.1:1", &ca, &version, &err) == -ECONNREFUSED);
	CHECK(strstr(err.message, "https://127.0.0.1:1"));
}

static void test_nobody_answers(void **state)
{
	(void)state;
	in_child(ask_nobody);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_doubtful),
		cmocka_unit_test(test_nobody_answers),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
