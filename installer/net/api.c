/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's end of requests to the API server. */
#include "installer/net/api.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/yaml.h"
#include "installer/credentials.h"
#include "installer/net/api-protocol.h"
#include "installer/net/outside-internal.h"

static int receive(int fd, struct byoh_outside_answer *ret, struct byoh_buffer *ret_text)
{
	int rc = byoh_outside_receive(fd, ret, sizeof(*ret), 3 * BYOH_OUTSIDE_API_SECONDS);

	if (rc == 0 && (ret->status > 0 || ret->size > BYOH_API_BODY_MAX))
		rc = -EPROTO;
	if (rc == 0)
		rc = byoh_buffer_reserve(ret_text, ret->size, NULL);
	if (rc == 0)
		rc = byoh_outside_receive(fd, ret_text->data, ret->size, BYOH_OUTSIDE_ANSWER_SECONDS);
	if (rc < 0)
		return rc;
	ret_text->size = ret->size;
	ret_text->data[ret->size] = '\0';
	return 0;
}

static int exchange(int fd, const struct byoh_buffer *packed, struct byoh_outside_answer *ret,
		    struct byoh_buffer *ret_text)
{
	const struct byoh_outside_request head = { .operation = BYOH_OUTSIDE_API, .size = (uint32_t)packed->size };
	int rc = byoh_outside_send(fd, &head, sizeof(head));

	if (rc == 0)
		rc = byoh_outside_send(fd, packed->data, packed->size);
	return rc < 0 ? rc : receive(fd, ret, ret_text);
}

static enum byoh_error_kind kind_of(int errnum)
{
	return errnum == BYOH_API_STRANGER || errnum == BYOH_API_OTHER_NAME ? BYOH_ERROR_TRUST : BYOH_ERROR_SYSTEM;
}

int byoh_outside_api(struct byoh_outside *outside, const struct byoh_api_request *request, unsigned int *ret_status,
		     struct byoh_buffer *ret_body, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer packed = { 0 }, text = { 0 };
	struct byoh_outside_answer answer;
	int *fd = byoh_outside_api_fd(outside);
	int rc = byoh_api_request_check(request, err);

	if (rc == 0)
		rc = byoh_api_request_pack(request, &packed, err);
	if (rc < 0)
		return rc;
	if (*fd < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EPIPE, "the helper that asks the API server is gone");
	rc = exchange(*fd, &packed, &answer, &text);
	if (rc < 0) {
		close(TAKE_FD(*fd));
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -rc, "the API server was not asked: %s", strerror(-rc));
	}
	if (answer.status < 0)
		return byoh_fail(err, kind_of(-answer.status), -answer.status, "%s", byoh_buffer_text(&text));
	*ret_status = answer.number;
	return byoh_buffer_add(ret_body, byoh_buffer_text(&text), text.size, err);
}

static int read_version(const struct byoh_buffer *body, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const char *version = NULL;
	int r = byoh_yaml_parse(byoh_buffer_text(body), body->size, "the answer", BYOH_ERROR_FORMAT, &doc, err);

	if (r == 0)
		r = byoh_yaml_read_string(doc, byoh_yaml_root(doc), "gitVersion", true, &version, err);
	if (r == 0 && (strlen(version) > 64 || version[strspn(version, "abcdefghijklmnopqrstuvwxyz"
								       "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
								       "0123456789.+-_")]))
		r = byoh_fail(err, BYOH_ERROR_FORMAT, EPROTO, "the answer holds no version");
	return r < 0 ? r : byoh_buffer_add_string(ret, version, err);
}

int byoh_outside_api_version(struct byoh_outside *outside, const char *server, const struct byoh_buffer *ca,
			     struct byoh_buffer *ret, struct byoh_error *err)
{
	const struct byoh_api_request request = { .server = server, .ca = ca, .method = "GET", .path = "/version" };
	CLEANUP_BUFFER struct byoh_buffer body = { 0 };
	unsigned int status;
	int r = byoh_outside_api(outside, &request, &status, &body, err);

	if (r < 0)
		return r;
	if (status != 200)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EACCES, "%.200s/version answers with status %u", server,
				 status);
	return read_version(&body, ret, err);
}
