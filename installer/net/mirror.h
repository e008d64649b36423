/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle from a mirror in the LAN, from within the empty network namespace. A helper that was forked before the
 * network was left starts a child for each connection: the child connects to the one server of the URL, gives up
 * what it may do, loads the filter of every other process here, and only then reads what the server sends. A cut
 * connection is taken up again where it broke, by a range, or, where the server knows none, by passing over what
 * has come already. Nothing of it is believed: the blocks tell which bytes are good.
 */
#ifndef BYOH_INSTALLER_NET_MIRROR_H
#define BYOH_INSTALLER_NET_MIRROR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "bundle/reader.h"

struct byoh_mirror;

/* http:// or https:// */
bool byoh_mirror_is_url(const char *text);

/* Forks the helper. ca: a file with the CA of the site (PEM), and no other counts; NULL: the host's own store.
 * Refuses URLs with a user, a password or a query: arguments can be read by everybody. */
BYOH_MUST_CHECK int byoh_mirror_start(const char *url, const char *ca, struct byoh_mirror **ret,
				      struct byoh_error *err);
void byoh_mirror_free(struct byoh_mirror *mirror);

struct byoh_mirror_watch {
	void (*note)(void *context, const char *message); /* a broken connection that is taken up again */
	void *context;
	const atomic_bool *cancel;
};
/* watch is copied. The reader lives no longer than the mirror. */
BYOH_MUST_CHECK int byoh_mirror_open(struct byoh_mirror *mirror, const struct byoh_mirror_watch *watch,
				     struct byoh_reader **ret, struct byoh_error *err);

#endif
