/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock: digests of the sources whose spec gives none, in a file of its own beside the spec
 * (bundle.yaml has bundle.lock). JSON; a source is known by its component (or image ref) and its
 * URL or path, so a digest never outlives the source it was taken from.
 */
#ifndef BYOH_BUNDLE_LOCK_H
#define BYOH_BUNDLE_LOCK_H

#include <stdbool.h>

#include "bundle/base/buffer.h"
#include "bundle/base/digest.h"
#include "bundle/base/error.h"
#include "bundle/spec.h"

struct byoh_lock;

struct byoh_lock *byoh_lock_new(void); /* empty; NULL without memory */
void byoh_lock_free(struct byoh_lock *lock);
void byoh_lock_freep(struct byoh_lock **lock);
#define CLEANUP_LOCK __attribute__((cleanup(byoh_lock_freep)))

/* Strict; errors are BYOH_ERROR_CONFIG with name, line and column. Pure. */
BYOH_MUST_CHECK int byoh_lock_parse(const char *text, size_t size, const char *name,
				    struct byoh_lock **ret, struct byoh_error *err);
/* A missing file is an empty lock. */
BYOH_MUST_CHECK int byoh_lock_load(const char *path, struct byoh_lock **ret,
				   struct byoh_error *err);
/* Appends the text of a lock, sorted: the same entries give the same bytes. */
BYOH_MUST_CHECK int byoh_lock_write(struct byoh_lock *lock, struct byoh_buffer *ret,
				    struct byoh_error *err);

/* owner is a component's name, or an image's ref where image is true. */
BYOH_MUST_CHECK int byoh_lock_set(struct byoh_lock *lock, bool image, const char *owner,
				  const char *source, const struct byoh_digest *digest,
				  struct byoh_error *err);

/* The digest that binds a source: the spec's own, else the lock's. False: there is none. */
bool byoh_lock_digest(const struct byoh_lock *lock, bool image, const char *owner,
		      const struct byoh_spec_source *source, struct byoh_digest *ret);

#endif
