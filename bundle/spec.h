/* SPDX-License-Identifier: Apache-2.0 */
/* The spec of a bundle, as a publisher writes it: docs/building-bundles.md. */
#ifndef BYOH_BUNDLE_SPEC_H
#define BYOH_BUNDLE_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bundle/base/digest.h"
#include "bundle/base/error.h"

#define BYOH_SPEC_MAX_SIZE ((size_t)4 << 20)
#define BYOH_SPEC_KEEP_MODE ((mode_t)-1)

struct byoh_yaml;

/* Where the bytes come from: a URL, or a path relative to the spec's folder. Exactly one is set. */
struct byoh_spec_source {
	const char *url;
	const char *path;
	bool has_digest;
	bool unlocked; /* no digest is known, and the publisher said so */
	struct byoh_digest digest;
	unsigned int line, column;
};

/* Which files of a source go where. */
struct byoh_spec_rule {
	const char *from; /* a glob over the names in the source; "" takes the source itself */
	const char *to;	  /* absolute; a folder if it ends in "/" */
	mode_t mode;	  /* or BYOH_SPEC_KEEP_MODE */
	unsigned int line, column;
};

struct byoh_spec_component {
	const char *name, *version, *license;
	struct byoh_spec_source source;
	size_t rule_count;
	struct byoh_spec_rule *rules;
};

/* An image: from an archive or layout (source.path), or from its registry (source.path is NULL). */
struct byoh_spec_image {
	const char *ref;
	char *platform; /* linux/<arch> unless given */
	struct byoh_spec_source source; /* the archive, or the digest to ask the registry for */
};

struct byoh_spec {
	const char *name, *version, *arch;
	const char *kubernetes; /* NULL: none */
	uint64_t epoch;
	size_t component_count, image_count;
	struct byoh_spec_component *components;
	struct byoh_spec_image *images;
	char *directory;	    /* what source paths are relative to */
	char *lock_path;	    /* the spec's path with ".lock" for its ending */
	struct byoh_yaml *document; /* the strings point into it */
};

/* path stands in messages and gives directory and lock_path; it is not opened. Errors are
 * BYOH_ERROR_CONFIG with path, line and column. Pure. *ret is freed by byoh_spec_free. */
BYOH_MUST_CHECK int byoh_spec_parse(const char *text, size_t size, const char *path,
				    struct byoh_spec **ret, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_spec_load(const char *path, struct byoh_spec **ret,
				   struct byoh_error *err);
void byoh_spec_free(struct byoh_spec *spec);
void byoh_spec_freep(struct byoh_spec **spec);
#define CLEANUP_SPEC __attribute__((cleanup(byoh_spec_freep)))

/* The URL or the path, as the publisher gave it. */
const char *byoh_spec_source_name(const struct byoh_spec_source *source);
/* The path below the spec's folder that a path source means, or NULL without memory. The caller
 * frees it. */
char *byoh_spec_source_path(const struct byoh_spec *spec, const struct byoh_spec_source *source);
/* Fails with "SPEC:LINE:COLUMN: message" about a source. */
int byoh_spec_fail(const struct byoh_spec *spec, const struct byoh_spec_source *source,
		   struct byoh_error *err, const char *fmt, ...) BYOH_PRINTF(4, 5);

#endif
