/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/fetch/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/path.h"
#include "bundle/base/yaml.h"
#include "bundle/cache.h"
#include "bundle/fetch/sources.h"
#include "bundle/image-archive.h"
#include "bundle/image-json.h"

#define MAX_NESTING 4
#define MAX_TOKEN 16384
#define MAX_LOGINS 3 /* tokens live for minutes, layers may take longer */
#define ACCEPT                                                                                   \
	"Accept: " BYOH_MEDIA_OCI_INDEX ", " BYOH_MEDIA_OCI_MANIFEST ", " BYOH_MEDIA_DOCKER_LIST \
	", " BYOH_MEDIA_DOCKER_MANIFEST

struct pull {
	const struct byoh_spec_image *image;
	const struct byoh_fetch_options *options;
	struct byoh_registry_ref ref;
	const char *scheme;
	int layout_fd;
	const char *layout;
	char *authorization; /* "Bearer TOKEN", NULL as long as nobody asked */
};

static int no_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/*
 * Names
 */

static bool copy_text(char *ret, size_t size, const char *from, size_t length)
{
	if (length >= size || !length)
		return false;
	memcpy(ret, from, length);
	ret[length] = '\0';
	return true;
}

/* The part in front of the first "/" is a host if it could be no folder of docker.io. */
static size_t host_length(const char *ref)
{
	size_t length = strcspn(ref, "/");

	if (!ref[length])
		return 0;
	if (memchr(ref, '.', length) || memchr(ref, ':', length) ||
	    (length == 9 && strncmp(ref, "localhost", 9) == 0))
		return length;
	return 0;
}

/* It becomes a path of the URL, so it may not climb there. */
static bool is_repository(const char *name)
{
	return byoh_path_is_clean(name) && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-"
							"/") == strlen(name);
}

int byoh_registry_parse_ref(const char *ref, struct byoh_registry_ref *ret, struct byoh_error *err)
{
	size_t host = host_length(ref);
	const char *name = host ? ref + host + 1 : ref;
	size_t length = strcspn(name, "@");
	const char *colon = memchr(name, ':', length);
	size_t name_length = colon ? (size_t)(colon - name) : length;
	char bare[200];
	bool ok = copy_text(bare, sizeof(bare), name, name_length);

	*ret = (struct byoh_registry_ref){ .host = "registry-1.docker.io", .tag = "latest" };
	if (ok && host && strncmp(ref, "docker.io/", 10) != 0 &&
	    strncmp(ref, "index.docker.io/", 16) != 0)
		ok = copy_text(ret->host, sizeof(ret->host), ref, host);
	if (ok && colon)
		ok = copy_text(ret->tag, sizeof(ret->tag), colon + 1, length - name_length - 1);
	if (ok)
		snprintf(ret->repository, sizeof(ret->repository), "%s%s",
			 strcmp(ret->host, "registry-1.docker.io") == 0 && !strchr(bare, '/') ? "li"
												"br"
												"ar"
												"y/"
											      : "",
			 bare);
	if (!ok || !is_repository(ret->repository) || strpbrk(ret->tag, ":/@") ||
	    strchr(ret->host, '@'))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "\"%s\" is no image reference",
				 ref);
	return 0;
}

static bool is_this_machine(const char *host)
{
	size_t length = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

	return (length == 9 && strncmp(host, "localhost", 9) == 0) ||
	       (length > 4 && strncmp(host, "127.", 4) == 0 &&
		strspn(host, "0123456789.") == length) ||
	       (length == 5 && strncmp(host, "[::1]", 5) == 0);
}

/*
 * Tokens
 */

static const char *skip_separators(const char *p)
{
	while (*p == ' ' || *p == ',' || *p == '\t' || *p == '\r' || *p == '\n')
		p++;
	return p;
}

/* name="value" or name=value; false at the end or at what is neither. */
static bool next_parameter(const char **at, char *name, size_t name_size, char *value,
			   size_t value_size)
{
	const char *p = skip_separators(*at);
	size_t length = strcspn(p, "= ,"), used = 0;

	if (p[length] != '=' || !copy_text(name, name_size, p, length))
		return false;
	p += length + 1;
	if (*p == '"') {
		for (p++; *p && *p != '"'; p++) {
			if (*p == '\\' && p[1])
				p++;
			if (used + 1 >= value_size)
				return false;
			value[used++] = *p;
		}
		if (*p++ != '"')
			return false;
	} else {
		for (; *p && !strchr(" ,\t\r\n", *p) && used + 1 < value_size; p++)
			value[used++] = *p;
	}
	value[used] = '\0';
	*at = p;
	return true;
}

bool byoh_registry_parse_challenge(const char *value, struct byoh_registry_challenge *ret)
{
	char name[64], text[1024];

	*ret = (struct byoh_registry_challenge){ .realm = "" };
	value = skip_separators(value);
	if (strncasecmp(value, "Bearer ", 7) != 0)
		return false;
	value += 7;
	while (next_parameter(&value, name, sizeof(name), text, sizeof(text))) {
		if (strcasecmp(name, "realm") == 0)
			snprintf(ret->realm, sizeof(ret->realm), "%s", text);
		else if (strcasecmp(name, "service") == 0)
			snprintf(ret->service, sizeof(ret->service), "%.255s", text);
		else if (strcasecmp(name, "scope") == 0)
			snprintf(ret->scope, sizeof(ret->scope), "%.511s", text);
	}
	return *ret->realm != '\0';
}

static int add_escaped(struct byoh_buffer *url, const char *key, const char *value,
		       struct byoh_error *err)
{
	char *escaped = curl_easy_escape(NULL, value, 0);
	int r = escaped ? byoh_buffer_printf(url, err, "%c%s=%s",
					     strchr(url->data, '?') ? '&' : '?', key, escaped)
			: no_memory(err);

	curl_free(escaped);
	return r;
}

static int token_url(const struct pull *pull, const struct byoh_registry_challenge *challenge,
		     struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_FREE char *scope = NULL;
	int r;

	/* A token over plain http would be as good as none. */
	if (strncmp(challenge->realm, "https://", 8) != 0 && strcmp(pull->scheme, "http") != 0)
		return byoh_fail(err, BYOH_ERROR_TRUST, EPERM,
				 "%s sends to %s for a token, which is not https", pull->ref.host,
				 challenge->realm);
	if (asprintf(&scope, "repository:%s:pull", pull->ref.repository) < 0) {
		scope = NULL;
		return no_memory(err);
	}
	r = byoh_buffer_add_string(ret, challenge->realm, err);
	if (r == 0 && *challenge->service)
		r = add_escaped(ret, "service", challenge->service, err);
	return r < 0 ? r
		     : add_escaped(ret, "scope", *challenge->scope ? challenge->scope : scope, err);
}

static int read_token(struct pull *pull, const char *url, const struct byoh_http_answer *answer,
		      struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const char *token = NULL;
	int r = byoh_yaml_parse(byoh_buffer_text(&answer->body), answer->body.size, url,
				BYOH_ERROR_SYSTEM, &doc, err);

	if (r == 0)
		r = byoh_yaml_read_string(doc, byoh_yaml_root(doc), "token", false, &token, err);
	if (r == 0 && !token)
		r = byoh_yaml_read_string(doc, byoh_yaml_root(doc), "access_token", true, &token,
					  err);
	if (r < 0)
		return r;
	/* A line break would be a header of its own. */
	if (!*token || strlen(token) > MAX_TOKEN || strpbrk(token, "\r\n \t"))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EBADMSG, "%s: the answer holds no token",
				 url);
	free(pull->authorization);
	if (asprintf(&pull->authorization, "Bearer %s", token) < 0) {
		pull->authorization = NULL;
		return no_memory(err);
	}
	return 0;
}

static int log_in(struct pull *pull, const char *authenticate, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer url = { 0 };
	CLEANUP_HTTP_ANSWER struct byoh_http_answer answer = { 0 };
	struct byoh_registry_challenge challenge;
	int r;

	if (!authenticate || !byoh_registry_parse_challenge(authenticate, &challenge))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EACCES,
				 "%s wants a login that is not an anonymous token; pull the image "
				 "by other means "
				 "and give it as an archive (from:)",
				 pull->ref.host);
	r = token_url(pull, &challenge, &url, err);
	if (r == 0)
		r = byoh_http_get(url.data, NULL, (size_t)4 * MAX_TOKEN, pull->options, &answer,
				  err);
	if (r == 0 && answer.status != 200)
		r = byoh_fail(err, BYOH_ERROR_SYSTEM, EACCES, "%s gives no token: HTTP %ld",
			      challenge.realm, answer.status);
	return r < 0 ? r : read_token(pull, challenge.realm, &answer, err);
}

/*
 * Objects
 */

static int get(struct pull *pull, const char *url, struct byoh_http_answer *ret,
	       struct byoh_error *err)
{
	for (bool again = false;; again = true) {
		CLEANUP_FREE char *header = NULL;
		const char *headers[3] = { ACCEPT, NULL, NULL };
		int r;

		if (pull->authorization &&
		    asprintf(&header, "Authorization: %s", pull->authorization) < 0) {
			header = NULL;
			return no_memory(err);
		}
		headers[1] = header;
		r = byoh_http_get(url, headers, BYOH_IMAGE_JSON_MAX_SIZE, pull->options, ret, err);
		if (r < 0 || ret->status != 401 || again)
			return r;
		r = log_in(pull, ret->authenticate, err);
		if (r < 0)
			return r;
		byoh_http_answer_release(ret);
	}
}

static int object_path(const struct byoh_digest *digest, char **ret, struct byoh_error *err)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(digest, hex);
	if (asprintf(ret, "blobs/sha256/%s", hex) < 0) {
		*ret = NULL;
		return no_memory(err);
	}
	return 0;
}

/* The object as an earlier run left it; false if it is not there or damaged. */
static bool read_kept(const struct pull *pull, const struct byoh_digest *digest,
		      struct byoh_buffer *ret)
{
	CLEANUP_FREE char *path = NULL;
	struct byoh_digest found;

	if (object_path(digest, &path, NULL) < 0 ||
	    byoh_read_file(pull->layout_fd, path, BYOH_IMAGE_JSON_MAX_SIZE, ret, NULL) < 0 ||
	    byoh_digest_of(ret->data, ret->size, &found, NULL) < 0 ||
	    !byoh_digest_equal(&found, digest)) {
		byoh_buffer_release(ret);
		return false;
	}
	return true;
}

static int fail_object(const char *url, const struct byoh_digest *found, struct byoh_error *err)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(found, hex);
	return byoh_fail(err, BYOH_ERROR_TRUST, EBADMSG,
			 "%s: what came has the digest sha256:%s; it was thrown away", url, hex);
}

/* An index or manifest by digest, or by tag where expected is NULL; it is kept in the layout. */
static int get_object(struct pull *pull, const struct byoh_digest *expected,
		      struct byoh_buffer *ret, struct byoh_digest *ret_digest,
		      struct byoh_error *err)
{
	CLEANUP_HTTP_ANSWER struct byoh_http_answer answer = { 0 };
	CLEANUP_FREE char *url = NULL;
	CLEANUP_FREE char *path = NULL;
	char name[7 + BYOH_DIGEST_HEX_SIZE] = "sha256:";
	int r;

	if (expected && read_kept(pull, expected, ret)) {
		*ret_digest = *expected;
		return 0;
	}
	if (expected)
		byoh_digest_hex(expected, name + 7);
	if (asprintf(&url, "%s://%s/v2/%s/manifests/%s", pull->scheme, pull->ref.host,
		     pull->ref.repository, expected ? name : pull->ref.tag) < 0) {
		url = NULL;
		return no_memory(err);
	}
	r = get(pull, url, &answer, err);
	if (r == 0 && answer.status != 200)
		r = byoh_fail(err, BYOH_ERROR_SYSTEM, answer.status == 404 ? ENOENT : EIO,
			      "%s: HTTP %ld", url, answer.status);
	if (r == 0)
		r = byoh_digest_of(byoh_buffer_text(&answer.body), answer.body.size, ret_digest,
				   err);
	if (r == 0 && expected && !byoh_digest_equal(expected, ret_digest))
		r = fail_object(url, ret_digest, err);
	if (r == 0)
		r = object_path(ret_digest, &path, err);
	if (r == 0)
		r = byoh_write_file(pull->layout_fd, path, answer.body.data, answer.body.size, 0644,
				    err);
	if (r == 0) {
		*ret = answer.body;
		answer.body = (struct byoh_buffer){ 0 };
	}
	return r;
}

struct top { /* what the layout's index will name */
	struct byoh_digest digest;
	uint64_t size;
	char *media_type;
};

static int note_top(struct top *top, const struct byoh_digest *digest, uint64_t size,
		    const char *media_type, struct byoh_error *err)
{
	top->digest = *digest;
	top->size = size;
	top->media_type = strdup(media_type);
	return top->media_type ? 0 : no_memory(err);
}

static int find_manifest(struct pull *pull, struct top *top, struct byoh_yaml **ret,
			 struct byoh_error *err)
{
	struct byoh_descriptor next = { .digest = pull->image->source.digest };
	const struct byoh_digest *wanted = pull->image->source.has_digest ? &next.digest : NULL;

	for (int depth = 0; depth < MAX_NESTING; depth++) {
		CLEANUP_BUFFER struct byoh_buffer text = { 0 };
		CLEANUP_YAML struct byoh_yaml *doc = NULL;
		struct byoh_digest digest;
		const char *media;
		int r = get_object(pull, wanted, &text, &digest, err);

		if (r == 0)
			r = byoh_yaml_parse(byoh_buffer_text(&text), text.size, pull->image->ref,
					    BYOH_ERROR_SYSTEM, &doc, err);
		if (r < 0)
			return r;
		media = byoh_image_media_type(doc);
		if (!media)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, EBADMSG,
					 "the registry's answer is no image");
		r = depth ? 0 : note_top(top, &digest, text.size, media, err);
		if (r == 0 && byoh_media_is_manifest(media)) {
			*ret = TAKE_PTR(doc);
			return 0;
		}
		if (r == 0)
			r = byoh_index_choose(doc, NULL, pull->image->platform, &next, err);
		if (r < 0)
			return r;
		wanted = &next.digest;
	}
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ELOOP, "indexes nest too deep");
}

/*
 * Blobs
 */

struct blobs {
	size_t count;
	struct byoh_descriptor *descriptors;
	struct byoh_fetch_item *items;
};

static void blobs_release(struct blobs *blobs)
{
	for (size_t i = 0; i < blobs->count; i++) {
		free((char *)blobs->items[i].name);
		free((char *)blobs->items[i].url);
		free((char *)blobs->items[i].path);
	}
	free(blobs->items);
	free(blobs->descriptors);
}

static int add_blob(const struct pull *pull, const struct byoh_yaml *manifest,
		    const struct byoh_yaml_node *node, struct blobs *blobs, struct byoh_error *err)
{
	struct byoh_descriptor *descriptor = &blobs->descriptors[blobs->count];
	char hex[BYOH_DIGEST_HEX_SIZE], *name, *url, *path;
	int r = byoh_descriptor_parse(manifest, node, descriptor, err);

	if (r < 0)
		return r;
	/* The same layer may stand twice in a manifest. */
	for (size_t i = 0; i < blobs->count; i++)
		if (byoh_digest_equal(&blobs->descriptors[i].digest, &descriptor->digest))
			return 0;
	byoh_digest_hex(&descriptor->digest, hex);
	if (asprintf(&name, "%s %.12s", pull->image->ref, hex) < 0)
		name = NULL;
	if (asprintf(&url, "%s://%s/v2/%s/blobs/sha256:%s", pull->scheme, pull->ref.host,
		     pull->ref.repository, hex) < 0)
		url = NULL;
	if (asprintf(&path, "%s/blobs/sha256/%s", pull->layout, hex) < 0)
		path = NULL;
	blobs->items[blobs->count++] = (struct byoh_fetch_item){ .name = name,
								 .url = url,
								 .path = path,
								 .digest = &descriptor->digest,
								 .size = descriptor->size };
	return name && url && path ? 0 : no_memory(err);
}

static int list_blobs(const struct pull *pull, const struct byoh_yaml *manifest, struct blobs *ret,
		      struct byoh_error *err)
{
	const struct byoh_yaml_node *root = byoh_yaml_root(manifest), *layers = NULL;
	int r = byoh_yaml_read_node(manifest, root, "layers", BYOH_YAML_SEQUENCE, true, &layers,
				    err);

	if (r < 0)
		return r;
	if (layers->count > BYOH_IMAGE_MAX_LAYERS)
		return byoh_yaml_fail(manifest, layers, err, "more than %zu layers",
				      BYOH_IMAGE_MAX_LAYERS);
	ret->descriptors = calloc(layers->count + 1, sizeof(*ret->descriptors));
	ret->items = calloc(layers->count + 1, sizeof(*ret->items));
	if (!ret->descriptors || !ret->items)
		return no_memory(err);
	r = add_blob(pull, manifest, byoh_yaml_get(root, "config"), ret, err);
	for (size_t i = 0; r == 0 && i < layers->count; i++)
		r = add_blob(pull, manifest, layers->items[i], ret, err);
	return r;
}

/* A blob may be refused where the manifests were not, or when the token has run out. */
static int log_in_anew(struct pull *pull, const char *blob_url, struct byoh_error *err)
{
	CLEANUP_HTTP_ANSWER struct byoh_http_answer answer = { 0 };
	CLEANUP_FREE char *url = NULL;
	int r;

	if (asprintf(&url, "%s://%s/v2/", pull->scheme, pull->ref.host) < 0) {
		url = NULL;
		return no_memory(err);
	}
	r = byoh_http_get(url, NULL, BYOH_IMAGE_JSON_MAX_SIZE, pull->options, &answer, err);
	if (r == 0 && answer.status != 401)
		r = byoh_fail(err, BYOH_ERROR_SYSTEM, EACCES, "%s: the registry refuses it",
			      blob_url);
	return r < 0 ? r : log_in(pull, answer.authenticate, err);
}

static int get_blobs(struct pull *pull, struct blobs *blobs, struct byoh_error *err)
{
	for (int logins = 0;; logins++) {
		int r;

		for (size_t i = 0; i < blobs->count; i++)
			blobs->items[i].authorization = pull->authorization;
		r = byoh_fetch_files(blobs->items, blobs->count, pull->options, err);
		if (r != -EACCES || logins >= MAX_LOGINS)
			return r;
		r = log_in_anew(pull, blobs->items[0].url, err);
		if (r < 0)
			return r;
	}
}

/*
 * The layout
 */

static int write_index(const struct pull *pull, const struct top *top, struct byoh_error *err)
{
	static const char marker[] = "{\"imageLayoutVersion\":\"1.0.0\"}\n";
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_json json = byoh_json_to(&text);
	char digest[7 + BYOH_DIGEST_HEX_SIZE] = "sha256:";
	int r;

	byoh_digest_hex(&top->digest, digest + 7);
	byoh_json_begin_object(&json);
	byoh_json_field_u64(&json, "schemaVersion", 2);
	byoh_json_field_string(&json, "mediaType", BYOH_MEDIA_OCI_INDEX);
	byoh_json_key(&json, "manifests");
	byoh_json_begin_array(&json);
	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "mediaType", top->media_type);
	byoh_json_field_string(&json, "digest", digest);
	byoh_json_field_u64(&json, "size", top->size);
	byoh_json_end_object(&json);
	byoh_json_end_array(&json);
	byoh_json_end_object(&json);
	r = byoh_json_finish(&json, err);
	if (r == 0)
		r = byoh_write_file(pull->layout_fd, "oci-layout", marker, sizeof(marker) - 1, 0644,
				    err);
	/* Last: a layout with an index is whole. */
	if (r == 0)
		r = byoh_write_file(pull->layout_fd, "index.json", text.data, text.size, 0644, err);
	return r;
}

static int open_layout(struct pull *pull, struct byoh_error *err)
{
	if (mkdir(pull->layout, 0755) < 0 && errno != EEXIST)
		return byoh_fail_errno(err, "%s", pull->layout);
	pull->layout_fd = open(pull->layout, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pull->layout_fd < 0)
		return byoh_fail_errno(err, "%s", pull->layout);
	return byoh_make_directories(pull->layout_fd, "blobs/sha256", 0755, err);
}

static int pull_into_layout(struct pull *pull, struct byoh_error *err)
{
	__attribute__((cleanup(blobs_release))) struct blobs blobs = { 0 };
	CLEANUP_YAML struct byoh_yaml *manifest = NULL;
	struct top top = { .media_type = NULL };
	int r = open_layout(pull, err);

	if (r == 0)
		r = find_manifest(pull, &top, &manifest, err);
	if (r == 0)
		r = list_blobs(pull, manifest, &blobs, err);
	if (r == 0)
		r = get_blobs(pull, &blobs, err);
	if (r == 0)
		r = write_index(pull, &top, err);
	free(top.media_type);
	return r;
}

static bool is_whole(const char *layout)
{
	CLEANUP_FD int fd = open(layout, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && byoh_exists_beneath(fd, "index.json");
}

static int pull_image(const struct byoh_spec_image *image, const char *cache_dir,
		      const char *insecure_host, bool refresh,
		      const struct byoh_fetch_options *options, struct byoh_error *err)
{
	struct pull pull = { .image = image, .options = options, .layout_fd = -1 };
	CLEANUP_FREE char *layout = NULL;
	bool plain;
	int r = byoh_registry_parse_ref(image->ref, &pull.ref, err);

	if (r == 0)
		r = byoh_cache_image_path(cache_dir, image, &layout, err);
	if (r < 0 || (!image->source.has_digest && !refresh && is_whole(layout)))
		return r;
	plain = is_this_machine(pull.ref.host) ||
		(insecure_host && strcmp(insecure_host, pull.ref.host) == 0);
	pull.scheme = plain ? "http" : "https";
	pull.layout = layout;
	r = pull_into_layout(&pull, err);
	byoh_cleanup_fd(&pull.layout_fd);
	free(pull.authorization);
	return r < 0 ? byoh_error_wrap(err, r, "image %s", image->ref) : 0;
}

int byoh_fetch_images(const struct byoh_spec *spec, const char *cache_dir,
		      const char *insecure_host, bool refresh,
		      const struct byoh_fetch_options *options, struct byoh_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < spec->image_count; i++) {
		if (spec->images[i].source.path)
			continue;
		r = byoh_fetch_make_cache(cache_dir, err);
		if (r == 0)
			r = pull_image(&spec->images[i], cache_dir, insecure_host, refresh, options,
				       err);
	}
	return r;
}
