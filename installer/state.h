/* SPDX-License-Identifier: Apache-2.0 */
/* /var/lib/byoh/state.json: what this host carries. Written by transactions, as one of their files. */
#ifndef BYOH_INSTALLER_STATE_H
#define BYOH_INSTALLER_STATE_H

#include "bundle/base/buffer.h"
#include "installer/host.h"
#include "installer/lock.h"

#define BYOH_STATE_PATH BYOH_HOME "/state.json"
/* The configuration of the installed release, and the files it names, as they were installed. */
#define BYOH_CONFIG_FOLDER BYOH_HOME "/config"
/* The release and configuration before: state.json, and config/ with what stood in /etc/byoh. The bundle is
 * among the kept releases. */
#define BYOH_PREVIOUS_FOLDER BYOH_HOME "/previous"
/* Stands there exactly while the state says that it is not settled: systemd cannot read JSON. */
#define BYOH_UNSETTLED_PATH BYOH_HOME "/unsettled"

/* No bundle of that name with a lower epoch is installed again. */
struct byoh_epoch_floor {
	char *name;
	uint64_t epoch;
};

struct byoh_state {
	char *release_id; /* 64 hexadecimal digits; NULL: installed without a bundle */
	char *config_id;  /* SHA-256 of byoh.yaml; NULL: installed without one */
	char *bases;	  /* of a delta: ids of the releases that it builds on, a blank behind each; else NULL */
	char *previous_id; /* the release to go back to; NULL: there is none */
	char *name, *version;
	char *kubernetes; /* NULL: a bundle of nothing but files */
	char *join_mode;
	uint64_t installed_at; /* seconds since 1970 */
	bool settled;	  /* false: units and images wait for byoh-settle at boot */
	size_t floor_count;
	struct byoh_epoch_floor *floors;
};

/* name stands in messages. Pure. */
BYOH_MUST_CHECK int byoh_state_parse(const char *text, size_t size, const char *name,
				     struct byoh_state **ret, struct byoh_error *err);
/* Of the release before; *ret is NULL where there is none. */
BYOH_MUST_CHECK int byoh_state_read_previous(const struct byoh_host *host, struct byoh_state **ret,
					     struct byoh_error *err);
/* *ret is NULL on a host without a release. */
BYOH_MUST_CHECK int byoh_state_read(const struct byoh_host *host, struct byoh_state **ret,
				    struct byoh_error *err);
void byoh_state_free(struct byoh_state *state);
void byoh_state_freep(struct byoh_state **state);
#define CLEANUP_STATE __attribute__((cleanup(byoh_state_freep)))

/* 0 where none is known; state may be NULL. */
uint64_t byoh_state_floor(const struct byoh_state *state, const char *name);
/* Floors only rise. */
BYOH_MUST_CHECK int byoh_state_raise_floor(struct byoh_state *state, const char *name, uint64_t epoch,
					   struct byoh_error *err);
BYOH_MUST_CHECK int byoh_state_json(const struct byoh_state *state, struct byoh_buffer *ret,
				    struct byoh_error *err);

#endif
