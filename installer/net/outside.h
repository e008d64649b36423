/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper that stays in the host's network namespace while everything that unpacks, verifies or
 * decides runs in an empty one. /proc/sys/net, /proc/net and listening ports are the caller's own
 * namespace's, so whoever needs the host's view of them asks here.
 *
 * A seccomp filter lets the helper open no internet socket: AF_INET, AF_INET6, AF_PACKET, AF_NETLINK and
 * the rest end with EACCES; the few loopback sockets for health checks are opened and bound to the
 * device `lo` before the filter is loaded. A second helper, with the rights of nobody, asks the configured API
 * server and no other address (installer/net/api.h).
 */
#ifndef BYOH_INSTALLER_NET_OUTSIDE_H
#define BYOH_INSTALLER_NET_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

struct byoh_outside;

/* Forks the helper (it dies with the caller), moves the caller into an empty network namespace and
 * loads a seccomp filter into the caller that refuses internet sockets for it and its children. Call
 * it before any thread exists. */
BYOH_MUST_CHECK int byoh_outside_start(struct byoh_outside **ret, struct byoh_error *err);
/* The same without a helper, for --root: empty namespace where privilege allows, the filter always. */
BYOH_MUST_CHECK int byoh_inside_only(struct byoh_error *err);
void byoh_outside_free(struct byoh_outside *outside);
void byoh_outside_freep(struct byoh_outside **outside);

/* /proc/sys/<key with dots as slashes>, as the host sees it. ret gets the value without its newline.
 * -ENOENT if the kernel has no such key. */
BYOH_MUST_CHECK int byoh_outside_sysctl_read(struct byoh_outside *outside, const char *key,
					     struct byoh_buffer *ret, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_outside_sysctl_write(struct byoh_outside *outside, const char *key,
					      const char *value, struct byoh_error *err);
/* The text of a file below the host's /proc/net ("route", "tcp", "tcp6", "ipv6_route", "if_inet6"...). */
BYOH_MUST_CHECK int byoh_outside_proc_net(struct byoh_outside *outside, const char *name,
					  struct byoh_buffer *ret, struct byoh_error *err);
/* Text of /sys/class/net/<name>/address lines "name mac\n" for every interface of the host. */
BYOH_MUST_CHECK int byoh_outside_interfaces(struct byoh_outside *outside, struct byoh_buffer *ret,
					    struct byoh_error *err);
/* The gitVersion that the API server (https://host:port) tells anybody who asks; ca is PEM. Fails as
 * byoh_outside_api does. */
BYOH_MUST_CHECK int byoh_outside_api_version(struct byoh_outside *outside, const char *server,
					     const struct byoh_buffer *ca, struct byoh_buffer *ret,
					     struct byoh_error *err);
/* GET http://127.0.0.1:port/path on loopback; 0 and the status code, or -ECONNREFUSED and the like. */
BYOH_MUST_CHECK int byoh_outside_loopback_get(struct byoh_outside *outside, uint16_t port,
					      const char *path, unsigned int *ret_status,
					      struct byoh_error *err);

#endif
