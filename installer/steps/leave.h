/* SPDX-License-Identifier: Apache-2.0 */
/* Host knowledge for giving back: who runs, what they fill, what has to go last. */
#ifndef BYOH_INSTALLER_STEPS_LEAVE_H
#define BYOH_INSTALLER_STEPS_LEAVE_H

#include "installer/ledger.h"
#include "installer/plan.h"

/* What mends an interrupted run. */
bool byoh_leave_is_last(const char *path);
/* "kubelet.service" for the path of a unit file in a folder that systemd reads; NULL for other paths. Points
 * into path. */
const char *byoh_leave_unit_of(const char *path);
/* Is it a folder that services fill? */
bool byoh_leave_is_data(const char *path);
/* Does a step name all that it ever wants, so that what it does not name any more is to be given back? The
 * others' plans depend on what they found: swap that is off is not asked to be off again. */
bool byoh_leave_is_complete(const char *step);

/* Adds what ends our services and their containers, and unmounts what these had mounted. */
BYOH_MUST_CHECK int byoh_leave_stop(const struct byoh_host *host, const struct byoh_ledger *ledger,
				    struct byoh_step *step, struct byoh_error *err);
/* Does the service run a program that we brought? Then it did not run before us, whoever has placed its unit. */
bool byoh_leave_is_ours(const struct byoh_ledger *ledger, const char *unit);
/* Adds the start of a service that ran before us, after everything that it reads is back. */
BYOH_MUST_CHECK int byoh_leave_start(const struct byoh_ledger *ledger, const struct byoh_origin *unit,
				     struct byoh_step *step, struct byoh_error *err);
/* What of the running kernel's stays until the next boot, as a sentence; NULL if nothing does. */
const char *byoh_leave_until_boot(const struct byoh_ledger *ledger);
/* Adds the system's trust store as it was, where the agent has replaced it. */
BYOH_MUST_CHECK int byoh_leave_ca_bundle(const struct byoh_host *host, struct byoh_step *step,
					 struct byoh_error *err);
/* Adds the removal of a network list of ours to which HeadCNI has given another name. */
BYOH_MUST_CHECK int byoh_leave_moved_conflist(const struct byoh_host *host, const struct byoh_origin *origin,
					      struct byoh_step *step, struct byoh_error *err);
/* Adds the end of what a join in the agent's stead has left, which no plan names (kubeadm.c). */
BYOH_MUST_CHECK int byoh_leave_kubeadm(const struct byoh_host *host, struct byoh_step *step,
				       struct byoh_error *err);
/* Was the host a node before us? Then its pods and its kubelet are not ours to end. */
bool byoh_leave_adopted_node(const struct byoh_host *host);
/* Does the agent have to be held while this plan (checked) is carried out? It starts services by itself. */
bool byoh_leave_holds_agent(const struct byoh_plan *plan);
BYOH_MUST_CHECK int byoh_leave_hold_agent(struct byoh_step *step, struct byoh_error *err);

#endif
