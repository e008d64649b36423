/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A containerd that the host had before: what its configuration says, the drop-in that adds what CRI needs,
 * and the few bytes of its own files that no drop-in can change. The functions are pure.
 */
#ifndef BYOH_INSTALLER_STEPS_CONTAINERD_ADOPT_H
#define BYOH_INSTALLER_STEPS_CONTAINERD_ADOPT_H

#include "installer/steps/steps-internal.h"
#include "installer/steps/toml.h"

/* Of its own, not in conf.d: it has to be read after what may lie there. */
#define BYOH_CONTAINERD_DROP_IN "/etc/containerd/byoh.toml"
/* How it is imported: a pattern may fit nothing, while containerd does not start without a file that is
 * named. A configuration that somebody changed outlives ours. */
#define BYOH_CONTAINERD_IMPORT "/etc/containerd/byoh*.toml"

/* A file of its configuration. */
struct byoh_containerd_source {
	char *path;
	struct byoh_buffer text;
	mode_t mode;
	bool missing;		/* the main file only: it is to be written */
	struct byoh_toml *toml; /* of text */
};

struct byoh_containerd_sources {
	size_t count; /* the main file, then what it imports, in order of reading */
	struct byoh_containerd_source *items;
};
void byoh_containerd_sources_release(struct byoh_containerd_sources *sources);
#define CLEANUP_CONTAINERD_SOURCES __attribute__((cleanup(byoh_containerd_sources_release)))

/* The drop-in. containerd 1.x takes a plugin's whole section from the last file that has one: for it
 * what the others say of CRI is repeated. *ret_secret: it holds credentials. BYOH_ERROR_PREFLIGHT names
 * the file and line that cannot be merged. */
BYOH_MUST_CHECK int byoh_containerd_drop_in(const struct byoh_containerd_input *input,
					    const struct byoh_containerd_sources *sources,
					    struct byoh_buffer *ret, bool *ret_secret,
					    struct byoh_error *err);
/* The file as it has to be: CRI not in disabled_plugins, and in the main one the drop-in among the
 * imports. Every other byte stays. */
BYOH_MUST_CHECK int byoh_containerd_edit(const struct byoh_containerd_input *input,
					 const struct byoh_containerd_source *source, bool is_main,
					 struct byoh_buffer *ret, struct byoh_error *err);

#endif
