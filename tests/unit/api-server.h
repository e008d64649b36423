/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of TLS on loopback, in a network namespace that stands for the host's, and the way to it from the empty
 * one. What runs there is a child of the test, where CHECK takes the place of assertions.
 */
#ifndef BYOH_TESTS_API_SERVER_H
#define BYOH_TESTS_API_SERVER_H

#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include "bundle/base/buffer.h"
#include "installer/net/outside.h"

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
			_exit(1); \
		} \
	} while (0)

/* Skips the test where the machine has no namespaces. */
void test_in_child(void (*body)(void));

struct test_identity {
	EVP_PKEY *key;
	X509 *certificate;
};

struct test_validity {
	const char *address; /* NULL: a client's */
	long from, until;    /* seconds from now */
};

extern const struct test_validity test_validity_usual; /* for 127.0.0.1, an hour around now */

/* Its own CA. Nothing of it is freed: the child ends. */
struct test_identity test_identity_make(const struct test_validity *validity);
struct byoh_buffer test_identity_pem(const struct test_identity *id);
struct byoh_buffer test_identity_key(const struct test_identity *id);

struct test_server {
	/* Whose the connection number `count` is, and what is written to the request. */
	const struct test_identity *(*identity)(const struct test_server *server, unsigned int count);
	void (*answer)(const struct test_server *server, unsigned int count, SSL *tls, const char *request);
	const struct test_identity *id, *other;
	const void *context;
	bool v6; /* at ::1; the test is skipped where there is none */
	/* What begin fills in. */
	char url[64];
	pid_t pid;
	struct byoh_outside *outside;
};

/* Enters the pretended host, starts the server (id alone where identity is NULL) and leaves the network. */
void test_server_begin(struct test_server *server);
void test_server_end(struct test_server *server);
void test_server_write(SSL *tls, const char *text);

#endif
