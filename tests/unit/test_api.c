/* SPDX-License-Identifier: Apache-2.0 */
/* The one question to the API server, asked from an empty network namespace of one that stands for the host's. */
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

/* Its own CA, for 127.0.0.1. */
static struct identity make_identity(void)
{
	struct identity id = { EVP_EC_gen("P-256"), X509_new() };
	X509_EXTENSION *extension;
	X509V3_CTX context;

	CHECK(id.key && id.certificate);
	X509_set_version(id.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(id.certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(id.certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(id.certificate), 3600);
	X509_set_pubkey(id.certificate, id.key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(id.certificate), "CN", MBSTRING_ASC,
				   (const unsigned char *)"server", -1, -1, 0);
	X509_set_issuer_name(id.certificate, X509_get_subject_name(id.certificate));
	X509V3_set_ctx(&context, id.certificate, id.certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, "IP:127.0.0.1");
	CHECK(extension && X509_add_ext(id.certificate, extension, -1));
	X509_EXTENSION_free(extension);
	CHECK(X509_sign(id.certificate, id.key, EVP_sha256()));
	return id;
}

static struct byoh_buffer pem_of(const struct identity *id)
{
	struct byoh_buffer ret = { 0 };
	BIO *out = BIO_new(BIO_s_mem());
	char *bytes;
	long size;

	CHECK(out && PEM_write_bio_X509(out, id->certificate));
	size = BIO_get_mem_data(out, &bytes);
	CHECK(byoh_buffer_add(&ret, bytes, (size_t)size, NULL) == 0);
	BIO_free(out);
	return ret;
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

/* Answers GET /version, and whatever else with nothing. */
static void serve(int listener, const struct identity *id, const char *answer)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	CHECK(SSL_CTX_use_certificate(context, id->certificate) == 1 &&
	      SSL_CTX_use_PrivateKey(context, id->key) == 1);
	for (;;) {
		char request[2048] = "";
		SSL *tls = SSL_new(context);
		int fd = accept(listener, NULL, NULL);

		SSL_set_fd(tls, fd);
		if (SSL_accept(tls) == 1 && SSL_read(tls, request, sizeof(request) - 1) > 0 &&
		    !strncmp(request, "GET /version HTTP/1.1\r\n", 23))
			SSL_write(tls, answer, (int)strlen(answer));
		SSL_shutdown(tls);
		SSL_free(tls);
		close(fd);
	}
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
	{ "no HTTP at all", NULL, "", -EIO, false },
};

static const struct row *row;

static void ask(void)
{
	struct identity id = make_identity(), other = make_identity();
	struct byoh_buffer ca = pem_of(row->strange ? &other : &id);
	CLEANUP(byoh_outside_freep) struct byoh_outside *outside = NULL;
	CLEANUP_BUFFER struct byoh_buffer version = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	char server[64];
	uint16_t port;
	int listener, result;
	pid_t pid;

	enter_pretended_host();
	listener = listen_on_loopback(&port);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		serve(listener, &id, row->answer);
	close(listener);
	snprintf(server, sizeof(server), "https://127.0.0.1:%u", port);
	/* A proxy that is not there would be an error. */
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	CHECK(byoh_outside_start(&outside, &err) == 0);
	result = byoh_outside_api_version(outside, server, &ca, &version, &err);
	kill(pid, SIGKILL);
	if (result != row->result || (row->words && !strstr(err.message, row->words)))
		fprintf(stderr, "result %d (%s)\n", result, err.message);
	CHECK(row->result == -EINVAL ? result < 0 : result == row->result);
	CHECK(!row->version || !strcmp(byoh_buffer_text(&version), row->version));
	CHECK(!row->words || strstr(err.message, row->words));
	/* once a run, and no more */
	err = (struct byoh_error)BYOH_ERROR_INIT;
	CHECK(byoh_outside_api_version(outside, server, &ca, &version, &err) == -EPIPE);
}

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		row = &rows[i];
		in_child(ask);
	}
}

static void ask_nobody(void)
{
	struct identity id = make_identity();
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
		cmocka_unit_test(test_nobody_answers),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
