/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of a verb: its options, and what most verbs need in the same order: isolation from the
 * network, facts about the host, the bundle and its trust, the configuration, the plan.
 */
#ifndef BYOH_INSTALLER_SESSION_H
#define BYOH_INSTALLER_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>

#include "bundle/base/bar.h"
#include "bundle/bundle.h"
#include "installer/arriving.h"
#include "installer/config.h"
#include "installer/host.h"
#include "installer/join-record.h"
#include "installer/ledger.h"
#include "installer/lock.h"
#include "installer/plan.h"
#include "installer/pod-cidr.h"
#include "installer/signers.h"
#include "installer/state.h"
#include "installer/upgrade.h"

#include "installer/discover.h"

#define BYOH_SESSION_KEYS_MAX 16

struct byoh_options {
	const char *config, *root, *plan, *ignored_preflight;
	const char *from[BYOH_SLICES_FOLDERS_MAX];
	size_t from_count;
	const char *mirror_ca;
	const char *devices; /* boot */
	const char *token_file, *kubeconfig, *ca, *wait; /* join */
	bool again, volume;			  /* join */
	const char *drain_kubeconfig;
	const char *token_ttl, *cluster_kubeconfig, *management; /* manifests */
	bool drain, drained, allow_downgrade, adopt_node; /* install */
	char *token;				  /* a copy: that in argv is wiped */
	const char *keys[BYOH_SESSION_KEYS_MAX];
	size_t key_count;
	bool json, yes, quiet, verbose;
	bool installed;			    /* verify */
	bool sbom, files, signatures;	    /* inspect */
	bool keep_data;			    /* uninstall */
	bool recover_only, guard_ca;	    /* settle */
	char **arguments;		    /* what is no option, ends with NULL */
	size_t argument_count;
};

struct byoh_join_look;

struct byoh_session {
	const char *verb;		 /* its name */
	struct byoh_options options;
	struct byoh_outside *outside;
	struct byoh_host *host;
	struct byoh_host_lock *lock;
	struct byoh_state *state;	 /* NULL: nothing of ours is installed */
	struct byoh_config *config;
	struct byoh_mirror *mirror;	 /* where --from is a URL */
	struct byoh_arriving arriving;	 /* what came of slices in an earlier run; lent to the bundle */
	struct byoh_bundle *bundle;
	bool bundle_is_self;		 /* behind this executable */
	bool bundle_is_kept;		 /* the installed release's own, which only root could put there */
	struct byoh_keyring *keyring;
	bool host_has_pins;
	struct byoh_policy policy;	 /* the host's own */
	size_t pin_count;		 /* keys that this install pins */
	struct byoh_public_key pins[BYOH_SESSION_KEYS_MAX];
	char *accepted_id;		 /* a kept release that was accepted once, whatever its epoch */
	struct byoh_ledger *ledger;	 /* what was there before us */
	bool thorough;			 /* the check reads every file */
	bool renews_copy;		 /* a medium is here, and the kept copy of its bundle is lost or damaged */
	bool looks_only;		 /* the plan tells how far the host is, and is not carried out */
	bool goes_back;			 /* to the release that was kept */
	struct byoh_bundle *installed;	 /* the bundle of what is installed, for its manifest; NULL: lost */
	struct byoh_upgrade upgrade;
	struct byoh_pod_cidr pod_cidr;	 /* of this node */
	struct byoh_plan_input plan_input;
	struct byoh_plan *plan;
	const struct byoh_join_look *join_look; /* what became of a join; NULL: nobody has looked */
	size_t changes;			 /* actions that are not so already */
	struct byoh_join_record join;	 /* of the attempt that this run started; no state: none */
	bool images_unknown;		 /* containerd does not answer, see byoh_report_ask_images */
	size_t step_number, step_total;	 /* of those with something to do, for progress */
	struct byoh_bar bar;
	const atomic_bool *cancel;
};

void byoh_session_release(struct byoh_session *session);

/* Leaves the network and gathers facts. Every verb but the ones that read a bundle alone. */
BYOH_MUST_CHECK int byoh_session_enter_host(struct byoh_session *session, struct byoh_error *err);
/* For verbs that only read a bundle: no internet socket from here on. */
BYOH_MUST_CHECK int byoh_session_enter_reader(struct byoh_session *session, struct byoh_error *err);
/* The same for one that writes no file and starts nothing: it gives up both. */
BYOH_MUST_CHECK int byoh_session_enter_onlooker(struct byoh_session *session, struct byoh_error *err);
/* One run at a time; settles what an earlier run left open. Needs byoh_session_enter_host. */
BYOH_MUST_CHECK int byoh_session_take_host(struct byoh_session *session, struct byoh_error *err);
/* The same for verbs that only look: while another run is at work they look all the same, and say so. */
BYOH_MUST_CHECK int byoh_session_settle_host(struct byoh_session *session, struct byoh_error *err);
/* Opens and authenticates a bundle: --from, else the one behind this executable, else the installed
 * release's, and says so. path overrides (NULL: by these rules). */
BYOH_MUST_CHECK int byoh_session_open_bundle(struct byoh_session *session, const char *path,
					     struct byoh_error *err);
/* The same for a look at who signed: nothing is checked yet, and nobody has to be trusted. */
BYOH_MUST_CHECK int byoh_session_open_stranger(struct byoh_session *session, const char *path,
					       struct byoh_error *err);
/* Whom this host trusts, and its threshold in session->policy; NULL where only root may know. session keeps the
 * keys of --key, which *ret borrows. */
BYOH_MUST_CHECK int byoh_session_read_signers(struct byoh_session *session, struct byoh_signers **ret,
					      struct byoh_error *err);
/* For a verb that only reads a bundle, and so has not learnt what is installed: would it be refused for its
 * epoch? */
BYOH_MUST_CHECK int byoh_session_check_floor(struct byoh_session *session, struct byoh_error *err);
/* Opens the bundle that the installed release was made of. */
BYOH_MUST_CHECK int byoh_session_open_installed(struct byoh_session *session, struct byoh_error *err);
/* Opens a release that is kept on this host. */
BYOH_MUST_CHECK int byoh_session_attach_base(struct byoh_session *session, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_session_open_release(struct byoh_session *session, const char *id,
					      struct byoh_error *err);
/* Reads the configuration that the installed release was installed with, whatever became of /etc/byoh since;
 * previous: that of the release before. */
BYOH_MUST_CHECK int byoh_session_load_kept_config(struct byoh_session *session, bool previous,
						  struct byoh_error *err);
/* Finds and reads the configuration. */
BYOH_MUST_CHECK int byoh_session_load_config(struct byoh_session *session, struct byoh_error *err);
/* Where the config knows the CA by its pin alone and has a token: finds it on the network of a live host. A server
 * that is not reached is no error unless required: the host then waits for another run. */
BYOH_MUST_CHECK int byoh_session_find_ca(struct byoh_session *session, bool required, struct byoh_error *err);
/* Goes on with another configuration (taken), whose signature and policy count as those of a found one do. */
BYOH_MUST_CHECK int byoh_session_use_config(struct byoh_session *session, struct byoh_config *config,
					    struct byoh_error *err);
/* The keys that this host has pinned, and those of --key; nobody else's. */
BYOH_MUST_CHECK int byoh_session_pinned_keys(struct byoh_session *session, struct byoh_keyring **ret,
					     struct byoh_error *err);
/* Asks on a terminal; without one --yes is needed. BYOH_ERROR_USAGE for a no. */
BYOH_MUST_CHECK int byoh_session_confirm(const struct byoh_session *session, const char *question,
					 struct byoh_error *err);
/* Makes the plan and looks how far the host is from it. */
BYOH_MUST_CHECK int byoh_session_make_plan(struct byoh_session *session, struct byoh_error *err);

#endif
