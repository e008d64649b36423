/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/net/api-protocol.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/cursor.h"
#include "installer/config-syntax.h"
#include "installer/credentials.h"

#define ABSENT UINT32_MAX

static int refuse(struct byoh_error *err, const char *what)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, EINVAL, "no request to an API server: %s", what);
}

static bool is_method(const char *method)
{
	static const char *const known[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };

	for (size_t i = 0; method && i < ARRAY_SIZE(known); i++)
		if (strcmp(method, known[i]) == 0)
			return true;
	return false;
}

/* A line end in a header would begin another one. */
static bool is_header_word(const char *text)
{
	return byoh_token_is_opaque(text, BYOH_API_WORD_MAX);
}

static bool is_path(const char *path)
{
	return path && path[0] == '/' && byoh_token_is_opaque(path, BYOH_API_PATH_MAX) && !strchr(path, '#');
}

static bool is_pem(const char *text)
{
	return strlen(text) <= BYOH_API_WORD_MAX && strstr(text, "-----BEGIN ");
}

static int check_secrets(const struct byoh_api_request *request, struct byoh_error *err)
{
	if (request->token && !is_header_word(request->token))
		return refuse(err, "the token has no form of one");
	if (!request->certificate != !request->key)
		return refuse(err, "a client's certificate and its key belong together");
	if (request->certificate && (!is_pem(request->certificate) || !is_pem(request->key)))
		return refuse(err, "the client's certificate or key is no PEM text");
	if (!request->ca && (request->token || request->key || request->body))
		return refuse(err, "nothing is sent to a server that is not verified");
	if (request->ca && (request->ca->size == 0 || request->ca->size > BYOH_CA_MAX_SIZE))
		return refuse(err, "the CA is empty or too large");
	return 0;
}

int byoh_api_request_check(const struct byoh_api_request *request, struct byoh_error *err)
{
	CLEANUP_FREE char *server = NULL;

	if (!request->server || byoh_server_url(request->server, &server) < 0)
		return refuse(err, "a server is " BYOH_SERVER_URL_FORM);
	if (!is_method(request->method))
		return refuse(err, "the method is unknown");
	if (!is_path(request->path))
		return refuse(err, "the path has no form of one");
	if (!request->content_type != !request->body)
		return refuse(err, "a body and its type belong together");
	if (request->body && (request->body->size > BYOH_API_BODY_MAX || !is_header_word(request->content_type)))
		return refuse(err, "the body is too large, or its type has no form of one");
	return check_secrets(request, err);
}

static int add_field(struct byoh_buffer *ret, const char *bytes, size_t size, struct byoh_error *err)
{
	if (!bytes)
		return byoh_buffer_add_u32(ret, ABSENT, err);
	TRY(byoh_buffer_add_u32(ret, (uint32_t)size, err));
	TRY(byoh_buffer_add(ret, bytes, size, err));
	return byoh_buffer_add_zeros(ret, 1, err);
}

static int add_text(struct byoh_buffer *ret, const char *text, struct byoh_error *err)
{
	return add_field(ret, text, text ? strlen(text) : 0, err);
}

static int add_buffer(struct byoh_buffer *ret, const struct byoh_buffer *buffer, struct byoh_error *err)
{
	return add_field(ret, buffer ? byoh_buffer_text(buffer) : NULL, buffer ? buffer->size : 0, err);
}

int byoh_api_request_pack(const struct byoh_api_request *request, struct byoh_buffer *ret, struct byoh_error *err)
{
	/* At once: what grows leaves copies behind. */
	TRY(byoh_buffer_reserve(ret, 5 * BYOH_API_WORD_MAX + (request->ca ? request->ca->size : 0) +
				(request->body ? request->body->size : 0), err));
	TRY(add_text(ret, request->server, err));
	TRY(add_buffer(ret, request->ca, err));
	TRY(add_text(ret, request->token, err));
	TRY(add_text(ret, request->certificate, err));
	TRY(add_text(ret, request->key, err));
	TRY(add_text(ret, request->method, err));
	TRY(add_text(ret, request->path, err));
	TRY(add_text(ret, request->content_type, err));
	return add_buffer(ret, request->body, err);
}

static const char *take_field(struct byoh_cursor *from, size_t *ret_size)
{
	uint32_t size = byoh_cursor_u32(from);
	const unsigned char *bytes;

	*ret_size = 0;
	if (from->failed || size == ABSENT)
		return NULL;
	bytes = byoh_cursor_take(from, size);
	if (!byoh_cursor_zeros(from, 1)) {
		from->failed = true;
		return NULL;
	}
	*ret_size = size;
	return (const char *)bytes;
}

static const char *take_text(struct byoh_cursor *from)
{
	size_t size;
	const char *text = take_field(from, &size);

	if (text && strlen(text) != size)
		from->failed = true;
	return text;
}

static const struct byoh_buffer *take_buffer(struct byoh_cursor *from, struct byoh_buffer *ret)
{
	const char *bytes = take_field(from, &ret->size);

	ret->data = (char *)bytes;
	return bytes ? ret : NULL;
}

int byoh_api_request_unpack(char *bytes, size_t size, struct byoh_api_unpacked *ret, struct byoh_error *err)
{
	struct byoh_cursor from = byoh_cursor_over(bytes, size);
	struct byoh_api_request *request = &ret->request;

	*ret = (struct byoh_api_unpacked){ 0 };
	request->server = take_text(&from);
	request->ca = take_buffer(&from, &ret->ca);
	request->token = take_text(&from);
	request->certificate = take_text(&from);
	request->key = take_text(&from);
	request->method = take_text(&from);
	request->path = take_text(&from);
	request->content_type = take_text(&from);
	request->body = take_buffer(&from, &ret->body);
	if (from.failed || from.left)
		return refuse(err, "it is cut or followed by something");
	return byoh_api_request_check(request, err);
}
