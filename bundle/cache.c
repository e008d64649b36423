/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/cache.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"

static int print(char **ret, struct byoh_error *err, const char *fmt, ...) BYOH_PRINTF(3, 4);

static int print(char **ret, struct byoh_error *err, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(ret, fmt, args);
	va_end(args);
	if (n >= 0)
		return 0;
	*ret = NULL;
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

int byoh_cache_default(char **ret, struct byoh_error *err)
{
	const char *own = getenv("BYOH_CACHE"), *xdg = getenv("XDG_CACHE_HOME"),
		   *home = getenv("HOME");

	if (own && *own)
		return print(ret, err, "%s/sources", own);
	if (xdg && *xdg)
		return print(ret, err, "%s/byoh/sources", xdg);
	return print(ret, err, "%s/.cache/byoh/sources", home && *home ? home : "/root");
}

static int hex_of(const char *text, char ret[BYOH_DIGEST_HEX_SIZE], struct byoh_error *err)
{
	struct byoh_digest digest;
	int r = byoh_digest_of(text, strlen(text), &digest, err);

	if (r == 0)
		byoh_digest_hex(&digest, ret);
	return r;
}

int byoh_cache_source_path(const char *cache_dir, const char *url, const struct byoh_digest *digest,
			   char **ret, struct byoh_error *err)
{
	char hex[BYOH_DIGEST_HEX_SIZE];
	int r;

	if (digest) {
		byoh_digest_hex(digest, hex);
		return print(ret, err, "%s/sha256/%s", cache_dir, hex);
	}
	r = hex_of(url, hex, err);
	return r < 0 ? r : print(ret, err, "%s/url/%s", cache_dir, hex);
}

int byoh_cache_image_path(const char *cache_dir, const struct byoh_spec_image *image, char **ret,
			  struct byoh_error *err)
{
	CLEANUP_FREE char *key = NULL;
	char hex[BYOH_DIGEST_HEX_SIZE];
	int r;

	if (image->source.has_digest) {
		byoh_digest_hex(&image->source.digest, hex);
		return print(ret, err, "%s/images/%s", cache_dir, hex);
	}
	r = print(&key, err, "%s %s", image->ref, image->platform);
	if (r == 0)
		r = hex_of(key, hex, err);
	return r < 0 ? r : print(ret, err, "%s/images/ref-%s", cache_dir, hex);
}
