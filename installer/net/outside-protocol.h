/* SPDX-License-Identifier: Apache-2.0 */
/* Between byoh_outside_* and the helper, over a stream socket: a fixed head, then `size` bytes. */
#ifndef BYOH_INSTALLER_NET_OUTSIDE_PROTOCOL_H
#define BYOH_INSTALLER_NET_OUTSIDE_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bundle/base/error.h"

#define BYOH_OUTSIDE_KEY_MAX 256     /* longer than any key of the kernel */
#define BYOH_OUTSIDE_VALUE_MAX 1024  /* net sysctls are numbers and short words */
#define BYOH_OUTSIDE_NAME_MAX 32
#define BYOH_OUTSIDE_URL_PATH_MAX 256
#define BYOH_OUTSIDE_REQUEST_MAX (BYOH_OUTSIDE_KEY_MAX + BYOH_OUTSIDE_VALUE_MAX + 2)
#define BYOH_OUTSIDE_ANSWER_MAX ((size_t)4 << 20) /* /proc/net/tcp of some 27,000 sockets */
#define BYOH_OUTSIDE_API_REQUEST_MAX ((uint32_t)4 << 20) /* a CA, a body, keys */
#define BYOH_OUTSIDE_API_SECONDS 20 /* some addresses that do not answer, and one that is slow */
#define BYOH_OUTSIDE_LOOPBACK_SECONDS 10
#define BYOH_OUTSIDE_ANSWER_SECONDS (BYOH_OUTSIDE_LOOPBACK_SECONDS + 20)

enum byoh_outside_operation {
	BYOH_OUTSIDE_HELLO, /* sent by the helper alone, once it is ready */
	BYOH_OUTSIDE_SYSCTL_READ,  /* key */
	BYOH_OUTSIDE_SYSCTL_WRITE, /* key, zero byte, value */
	BYOH_OUTSIDE_PROC_NET,	   /* name */
	BYOH_OUTSIDE_INTERFACES,
	BYOH_OUTSIDE_LOOPBACK_GET, /* number: port; path */
	BYOH_OUTSIDE_API, /* of the other helper alone: installer/net/api-protocol.h; the answer: the number is the
			   * HTTP status and the text the body, or what is wrong */
};

struct byoh_outside_request {
	uint32_t operation;
	uint32_t number;
	uint32_t size;
};

struct byoh_outside_answer {
	int32_t status; /* 0 or a negative errno */
	uint32_t number;
	uint32_t size;
};

/* Both ends check; the caller for its messages, the helper because the caller reads hostile bytes.
 */
bool byoh_outside_sysctl_path(const char *key, char ret[BYOH_OUTSIDE_KEY_MAX + 1]);
bool byoh_outside_value_ok(const char *value);
bool byoh_outside_name_ok(const char *name);
bool byoh_outside_url_path_ok(const char *path);

/* 0, or a negative errno: -EPIPE when the other end is gone. seconds 0 waits for ever. */
BYOH_MUST_CHECK int byoh_outside_receive(int fd, void *ret, size_t size, unsigned int seconds);
BYOH_MUST_CHECK int byoh_outside_send(int fd, const void *bytes, size_t size);

/* Never returns. parent is who must be alive. */
_Noreturn void byoh_outside_serve(int fd, int parent);
/* The helper that asks the API server, and nobody else (installer/net/api.c). */
_Noreturn void byoh_outside_serve_api(int fd, int parent);
/* What helpers begin with: nothing of the caller's stays open, and they die with it. The descriptor from now on. */
BYOH_MUST_CHECK int byoh_outside_settle_in(int fd, int parent, const char *name);
/* To a user that owns nothing, who still dies with the parent. */
BYOH_MUST_CHECK int byoh_outside_give_up_rights(int parent);

/* From here on socket() of this process and its children answers EACCES for all but AF_UNIX. */
BYOH_MUST_CHECK int byoh_outside_load_filter(void);

#endif
