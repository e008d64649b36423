/* SPDX-License-Identifier: Apache-2.0 */
/* What became of the last attempt to join by kubeadm: written by the unit that joins, read by install, join and
 * status. No secrets. */
#ifndef BYOH_INSTALLER_JOIN_RECORD_H
#define BYOH_INSTALLER_JOIN_RECORD_H

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"
#include "installer/lock.h"

#define BYOH_JOIN_RECORD_PATH BYOH_HOME "/kubeadm-join.json"

struct byoh_join_record {
	const char *state; /* NULL: no attempt; "joining", "joined", "later": tried again by itself, "failed" */
	char cause[400], remedy[300]; /* empty where there is nothing to say */
};

/* A record that is missing or damaged is no attempt. */
void byoh_join_record_read(int root_fd, struct byoh_join_record *ret);
BYOH_MUST_CHECK int byoh_join_record_write(int root_fd, const struct byoh_join_record *record, struct byoh_error *err);
/* Pure; false if it is none. */
bool byoh_join_record_parse(const char *text, size_t size, struct byoh_join_record *ret);

#endif
