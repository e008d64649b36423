/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/net/discovery.h"

#include <errno.h>

#include "bundle/base/cleanup.h"
#include "installer/cluster-info.h"
#include "installer/net/api.h"

#define GIVE_CA "give the CA itself, cluster.ca: {file: ca.crt} or `join --ca FILE`"

static int check_status(const char *server, unsigned int status, struct byoh_error *err)
{
	if (status == 200)
		return 0;
	if (status == 401 || status == 403)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EACCES,
				 "%.200s lets nobody read its cluster-info without credentials (HTTP %u: anonymous "
				 "access is off, or the role is missing); " GIVE_CA, server, status);
	if (status == 404)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOENT,
				 "%.200s has no cluster-info, by which its CA could be found; " GIVE_CA, server);
	return byoh_fail(err, BYOH_ERROR_SYSTEM, EPROTO, "%.200s answers with HTTP %u to what asks for its cluster-info; "
			 GIVE_CA, server, status);
}

static int get(struct byoh_outside *outside, const char *server, const struct byoh_buffer *ca,
	       struct byoh_buffer *ret, struct byoh_error *err)
{
	const struct byoh_api_request request = { .server = server, .ca = ca, .method = "GET",
						  .path = BYOH_CLUSTER_INFO_PATH };
	unsigned int status;
	int r = byoh_outside_api(outside, &request, &status, ret, err);

	return r < 0 ? r : check_status(server, status, err);
}

int byoh_discover_cluster(struct byoh_outside *outside, const char *server, const char *token, const char *pin,
			  struct byoh_buffer *ret, char **ret_server, struct byoh_error *err)
{
	CLEANUP_CLUSTER_INFO struct byoh_cluster_info info = { 0 };
	CLEANUP_BUFFER struct byoh_buffer first = { 0 }, second = { 0 };
	int r = get(outside, server, NULL, &first, err);

	if (r == 0)
		r = byoh_cluster_info_read(byoh_buffer_text(&first), first.size, token, pin, &info, err);
	if (r == 0)
		r = get(outside, server, &info.pinned, &second, err);
	if (r == 0)
		r = byoh_cluster_info_confirm(&info, byoh_buffer_text(&second), second.size, err);
	if (r == 0)
		r = byoh_buffer_add(ret, info.ca.data, info.ca.size, err);
	if (r < 0)
		return r;
	*ret_server = TAKE_PTR(info.server);
	return 0;
}
