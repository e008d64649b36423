/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to one server, for the children of the helpers outside of the network namespace. */
#ifndef BYOH_INSTALLER_NET_CONNECT_H
#define BYOH_INSTALLER_NET_CONNECT_H

#include <curl/curl.h>
#include <stdbool.h>

#include "bundle/base/error.h"

struct byoh_target { /* of a URL */
	char *host, *port; /* curl's; host without brackets */
};
void byoh_target_release(struct byoh_target *target);
/* False where url has none. The port is the scheme's where the URL names none. */
bool byoh_target_of(const char *url, struct byoh_target *ret);

/* The first of the host's addresses that takes a connection. server stands in messages; -EADDRNOTAVAIL for a name
 * that leads nowhere. */
BYOH_MUST_CHECK int byoh_connect(const struct byoh_target *target, const char *server, struct byoh_error *err);

/* From here on the process owns nothing, and the connections that it has are all there will be. */
BYOH_MUST_CHECK int byoh_connect_shut_in(int parent, struct byoh_error *err);
/* Whatever libcurl looks up, it gets that connection. fd is taken when it is used. *ret_resolve must live as long
 * as easy and is freed by the caller. */
bool byoh_connect_only(CURL *easy, const struct byoh_target *target, int *fd, struct curl_slist **ret_resolve);

#endif
