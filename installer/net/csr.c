/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/net/csr.h"

#include <errno.h>
#include <stdio.h>

#include "bundle/base/cleanup.h"

#define REQUESTS "/apis/certificates.k8s.io/v1/certificatesigningrequests"

static int fail_status(const struct byoh_api_request *request, unsigned int status, struct byoh_error *err)
{
	if (status == 401 || status == 403)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EACCES, "%.200s %s (HTTP %u)", request->server,
				 status == 401 ? "does not know the credential, or no more"
					       : "lets the credential neither make nor see certificate requests", status);
	if (status == 404)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOENT, "%.200s has no such certificate request",
				 request->server);
	return byoh_fail(err, BYOH_ERROR_SYSTEM, EPROTO, "%.200s answers with HTTP %u to a certificate request",
			 request->server, status);
}

int byoh_csr_submit(struct byoh_outside *outside, const struct byoh_api_request *access,
		    const struct byoh_buffer *object, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer answer = { 0 };
	struct byoh_api_request request = *access;
	unsigned int status = 0;
	int r;

	request.method = "POST";
	request.path = REQUESTS;
	request.content_type = "application/json";
	request.body = object;
	r = byoh_outside_api(outside, &request, &status, &answer, err);
	if (r < 0 || status == 200 || status == 201 || status == 409)
		return r;
	return fail_status(&request, status, err);
}

int byoh_csr_look(struct byoh_outside *outside, const struct byoh_api_request *access, const char *name,
		  struct byoh_csr_state *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer answer = { 0 };
	struct byoh_api_request request = *access;
	char path[sizeof(REQUESTS) + 1 + BYOH_CSR_NAME_SIZE];
	unsigned int status = 0;
	int r;

	snprintf(path, sizeof(path), REQUESTS "/%s", name);
	request.method = "GET";
	request.path = path;
	r = byoh_outside_api(outside, &request, &status, &answer, err);
	if (r < 0)
		return r;
	if (status != 200)
		return fail_status(&request, status, err);
	return byoh_csr_state_parse(byoh_buffer_text(&answer), answer.size, ret, err);
}
