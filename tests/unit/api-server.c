/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "bundle/base/cleanup.h"
#include "tests/unit/api-server.h"

#define CANNOT 77 /* the machine lacks what the test needs */

void test_in_child(void (*body)(void))
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

const struct test_validity test_validity_usual = { "IP:127.0.0.1", -3600, 3600 };

static void extend(X509 *certificate, int kind, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
	CHECK(extension && X509_add_ext(certificate, extension, -1));
	X509_EXTENSION_free(extension);
}

struct test_identity test_identity_make(const struct test_validity *validity)
{
	struct test_identity id = { EVP_EC_gen("P-256"), X509_new() };

	CHECK(id.key && id.certificate);
	X509_set_version(id.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(id.certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(id.certificate), validity->from);
	X509_gmtime_adj(X509_getm_notAfter(id.certificate), validity->until);
	X509_set_pubkey(id.certificate, id.key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(id.certificate), "CN", MBSTRING_ASC,
				   (const unsigned char *)(validity->address ? "server" : "client"), -1, -1, 0);
	X509_set_issuer_name(id.certificate, X509_get_subject_name(id.certificate));
	extend(id.certificate, NID_basic_constraints, "critical,CA:TRUE");
	extend(id.certificate, NID_subject_alt_name, validity->address ? validity->address : "DNS:client");
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

struct byoh_buffer test_identity_key(const struct test_identity *id)
{
	BIO *out = BIO_new(BIO_s_mem());

	CHECK(out && PEM_write_bio_PKCS8PrivateKey(out, id->key, NULL, NULL, 0, NULL, NULL));
	return text_of(out);
}

struct byoh_buffer test_identity_pem(const struct test_identity *id)
{
	BIO *out = BIO_new(BIO_s_mem());

	CHECK(out && PEM_write_bio_X509(out, id->certificate));
	return text_of(out);
}

static int listen_on_v6(uint16_t *ret_port)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		_exit(CANNOT);
	CHECK(!listen(fd, 8) && !getsockname(fd, (struct sockaddr *)&at, &size));
	*ret_port = ntohs(at.sin6_port);
	return fd;
}

static int listen_on_v4(uint16_t *ret_port)
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

void test_server_write(SSL *tls, const char *text)
{
	SSL_write(tls, text, (int)strlen(text));
}

static _Noreturn void serve(const struct test_server *server, int listener)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	/* A test that fails ends nothing that it started. */
	CHECK(!prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL));
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, take_any_client);
	SSL_CTX_set_num_tickets(context, 0);
	for (unsigned int count = 0;; count++) {
		const struct test_identity *id = server->identity ? server->identity(server, count) : server->id;
		char request[4096] = "";
		SSL *tls = SSL_new(context);
		int fd = accept(listener, NULL, NULL);

		CHECK(SSL_use_certificate(tls, id->certificate) == 1 && SSL_use_PrivateKey(tls, id->key) == 1);
		SSL_set_fd(tls, fd);
		if (SSL_accept(tls) == 1)
			read_request(tls, request, sizeof(request));
		if (request[0])
			server->answer(server, count, tls, request);
		SSL_shutdown(tls);
		SSL_free(tls);
		close(fd);
	}
}

void test_server_begin(struct test_server *server)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	uint16_t port;
	int listener;

	enter_pretended_host();
	listener = server->v6 ? listen_on_v6(&port) : listen_on_v4(&port);
	server->pid = fork();
	CHECK(server->pid >= 0);
	if (server->pid == 0)
		serve(server, listener);
	close(listener);
	snprintf(server->url, sizeof(server->url), "https://%s:%u", server->v6 ? "[::1]" : "127.0.0.1", port);
	/* A proxy that is not there would be an error. */
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	CHECK(byoh_outside_start(&server->outside, &err) == 0);
}

void test_server_end(struct test_server *server)
{
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	byoh_outside_free(server->outside);
}
