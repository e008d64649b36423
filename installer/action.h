/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actions: the few kinds of change that are ever made to a host. Each can be checked (is it so already?),
 * applied and, from what the journal kept of the state before, reverted. A step (installer/steps/) is a
 * sentence and a list of actions; it changes nothing by itself. Paths, units and values come from the
 * steps: the code of an action knows the mechanism only.
 */
#ifndef BYOH_INSTALLER_ACTION_H
#define BYOH_INSTALLER_ACTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bundle/base/buffer.h"
#include "bundle/base/digest.h"
#include "bundle/index.h"
#include "bundle/manifest.h"

enum byoh_action_kind {
	BYOH_ACTION_DIRECTORY,	/* subject: path; mode. An existing directory keeps its mode unless strict. */
	BYOH_ACTION_FILE,	/* subject: path; mode; bytes from content or from a file of the bundle */
	BYOH_ACTION_LINK,	/* subject: path; value: target */
	BYOH_ACTION_REMOVE,	/* subject: path of a file or link that must not exist */
	BYOH_ACTION_MODULE,	/* subject: module; loaded, built in or provided otherwise; value "unloaded":
				 * taken out if nothing uses it */
	BYOH_ACTION_SYSCTL,	/* subject: key with dots; value */
	BYOH_ACTION_SWAP_OFF,	/* subject: device; value "on": on again */
	BYOH_ACTION_HOSTNAME,	/* subject: the running kernel's host name to be */
	BYOH_ACTION_RELOAD,	/* subject: "systemd": daemon-reload, when an action before it changed */
	BYOH_ACTION_UNIT,	/* subject: unit; value: "started" or "stopped"; restarted if one of
				 * restart_on changed in this run */
	BYOH_ACTION_IMAGE,	/* subject: image ref; imported into containerd's namespace k8s.io; value
				 * "removed": not there */
	BYOH_ACTION_RELABEL,	/* subject: path; restorecon where SELinux is on */
	BYOH_ACTION_RESTORE,	/* subject: path; value: the before-image that is to stand there again */
	BYOH_ACTION_SAVE,	/* subject: a new name; value: the file of the operator's that gets it */
	BYOH_ACTION_REMOVE_DIRECTORY, /* subject: path; it stays if it is not empty */
	BYOH_ACTION_DATA,	/* subject: path of a folder that services fill: noted that it is new */
	BYOH_ACTION_REMOVE_DATA, /* subject: path of such a folder, which goes with all in it */
	BYOH_ACTION_KILL,	/* subject: a control group, all of whose processes end */
	BYOH_ACTION_UNMOUNT,	/* subject: how paths begin, no mount of which may stay */
	BYOH_ACTION_KINDS,
};

enum byoh_action_state {
	BYOH_STATE_UNKNOWN = 0,
	BYOH_STATE_SAME,	/* already so */
	BYOH_STATE_ABSENT,	/* will be made */
	BYOH_STATE_DIFFERENT,	/* stands there otherwise: will be replaced, the old kept */
	BYOH_STATE_LATER,	/* cannot be done now (below --root): byoh-settle does it at boot */
};

struct byoh_action {
	enum byoh_action_kind kind;
	char *subject;
	char *value;			/* see the kinds; NULL where none */
	mode_t mode;			/* file, directory */
	bool strict;			/* directory: mode is enforced on an existing one */
	bool secret;			/* content never appears in a plan, a log or a message */
	bool optional;			/* a failure is a warning: the host works without it */
	bool pinned;			/* image: protected from garbage collection where containerd can */
	bool create_only;		/* file: an existing file is left as it is (a template others own) */
	bool copy;			/* file: of what the same bundle puts at its own place */
	bool withheld;			/* file: another program's stands in its stead: neither placed nor missed */
	bool gives_back;		/* a part of the host as it was: the ledger forgets the subject */
	bool by_agent;			/* the agent's doing, not damage: see byoh_node_excuse */
	bool owned;			/* directory: it belongs to uid and gid instead of root */
	uid_t uid;
	gid_t gid;
	uint64_t priority;		/* swap on: as swapon takes it */
	struct byoh_buffer content;	/* file: its bytes, unless file is set */
	const struct byoh_file *file;	/* file: bytes come from the bundle; borrowed */
	const struct byoh_image *image;	/* image; borrowed */
	struct byoh_digest digest;	/* file: of its bytes */
	uint64_t size;			/* file */
	bool was_active;		/* unit: when this run began; set by byoh_action_check */
	bool was_steady;		/* unit: active then, and not failing again and again; likewise */
	char **restart_on;		/* unit: NULL-terminated list of subjects (paths) */
	enum byoh_action_state state;	/* set by byoh_action_check */
};

/* "file", "sysctl", ...: stable words of plans and journals */
const char *byoh_action_kind_name(enum byoh_action_kind kind);
/* "same", "absent", "different", "later", "unknown" */
const char *byoh_action_state_name(enum byoh_action_state state);

#endif
