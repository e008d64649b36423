/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/lasting-trust.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/signers.h"

/* Whom the host trusts after the release. */
struct after {
	const struct byoh_lasting_trust *input;
	const struct byoh_keyring *known; /* keys that a file of the release may be told to be of */
	struct byoh_keyring *trusted;
	const char *folder; /* that is being looked at */
	bool revokes;
	size_t others;	   /* files of the release with a key that is none of them */
	size_t unreadable; /* of those the ones that may be, in another spelling of PEM */
};

static struct byoh_keyring *new_keyring(struct byoh_error *err)
{
	struct byoh_keyring *keyring = byoh_keyring_new();

	if (!keyring)
		(void)!byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	return keyring;
}

/* The name of a file of keys in the folder (which begins without "/"), or NULL. */
static const char *name_in(const char *folder, const char *subject)
{
	size_t length = strlen(folder);

	if (subject[0] != '/' || strncmp(subject + 1, folder, length) != 0 || subject[length + 1] != '/')
		return NULL;
	subject += length + 2;
	return !strchr(subject, '/') && byoh_keyring_is_key_name(subject) ? subject : NULL;
}

static bool is_decided(const struct byoh_action *action)
{
	switch (action->kind) {
	case BYOH_ACTION_FILE:
		return !action->withheld;
	case BYOH_ACTION_REMOVE:
	case BYOH_ACTION_RESTORE:
		return true;
	default:
		return false;
	}
}

/* Does the plan say what becomes of that file of the folder? */
static bool is_planned(void *context, const char *name)
{
	const struct after *after = context;
	const struct byoh_plan *plan = after->input->plan;

	for (size_t i = 0; i < plan->step_count; i++) {
		const struct byoh_step *step = &plan->steps[i];

		for (size_t k = 0; k < step->action_count; k++) {
			const char *planned = is_decided(&step->actions[k]) ?
						      name_in(after->folder, step->actions[k].subject) : NULL;

			if (planned && strcmp(planned, name) == 0)
				return true;
		}
	}
	return false;
}

static int take_file(struct after *after, const struct byoh_action *action, struct byoh_error *err)
{
	const struct byoh_public_key *key = byoh_keyring_find_pem(after->known, &action->digest);

	if (key && after->revokes) {
		byoh_keyring_remove(after->trusted, key);
		return 0;
	}
	if (key)
		return byoh_keyring_add(after->trusted, key, err);
	after->others += !after->revokes;
	after->unreadable += !after->revokes && action->size != BYOH_PUBLIC_KEY_PEM_SIZE;
	return 0;
}

static int take_planned(struct after *after, struct byoh_error *err)
{
	const struct byoh_lasting_trust *input = after->input;

	for (size_t i = 0; i < input->plan->step_count; i++) {
		const struct byoh_step *step = &input->plan->steps[i];

		for (size_t k = 0; k < step->action_count; k++) {
			const struct byoh_action *action = &step->actions[k];

			if (!is_decided(action) || !name_in(after->folder, action->subject))
				continue;
			if (action->kind == BYOH_ACTION_FILE)
				TRY(take_file(after, action, err));
			else if (action->kind == BYOH_ACTION_RESTORE)
				TRY(byoh_keyring_add_file(after->trusted, input->root_fd, action->value,
							  after->revokes, err));
		}
	}
	return 0;
}

static int take_folder(void *context, const char *folder, bool revokes, struct byoh_error *err)
{
	struct after *after = context;

	after->folder = folder;
	after->revokes = revokes;
	TRY(byoh_keyring_add_directory_but(after->trusted, after->input->root_fd, folder, revokes, is_planned, after,
					   err));
	return take_planned(after, err);
}

/* In this run and after it, were it not for the release. */
static int add_own(const struct byoh_lasting_trust *input, struct byoh_keyring *keyring, struct byoh_error *err)
{
	for (size_t i = 0; i < input->pin_count; i++)
		TRY(byoh_keyring_add(keyring, &input->pins[i], err));
	return byoh_signers_add_trusted(keyring, input->root_fd, err);
}

static size_t count_signers(const struct byoh_bundle *bundle, const struct byoh_keyring *keyring)
{
	size_t count, trusted = 0;
	const struct byoh_signature *signatures = byoh_bundle_signatures(bundle, &count);

	for (size_t i = 0; i < count; i++)
		trusted += byoh_keyring_has(keyring, &signatures[i].key);
	return trusted;
}

static int refuse(const struct byoh_lasting_trust *input, size_t left, struct byoh_error *err)
{
	char trusted[64] = "none of those who signed it";

	if (left)
		snprintf(trusted, sizeof(trusted), "%zu of those who signed it, and %u are needed", left,
			 input->threshold);
	return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
			 "%s: after this release the host would trust %s; nothing was changed: the release has to bring "
			 "the key in /usr/share/byoh/keys.d, and not take it back, or put it into /etc/byoh/keys.d",
			 byoh_bundle_name(input->bundle), trusted);
}

int byoh_lasting_trust_check(const struct byoh_lasting_trust *input, struct byoh_error *err)
{
	CLEANUP_KEYRING struct byoh_keyring *now = new_keyring(err), *known = new_keyring(err),
					    *trusted = new_keyring(err);
	struct after after = { .input = input, .known = known, .trusted = trusted };
	size_t signers;

	if (!now || !known || !trusted)
		return -ENOMEM;
	TRY(add_own(input, now, err));
	TRY(byoh_signers_remove_revoked(now, input->root_fd, err));
	TRY(add_own(input, known, err));
	TRY(byoh_bundle_add_signers(input->bundle, known, err));
	TRY(byoh_signers_each_folder(take_folder, &after, err));
	signers = count_signers(input->bundle, trusted);
	if (count_signers(input->bundle, now) >= input->threshold && signers + after.unreadable < input->threshold)
		return refuse(input, signers, err);
	if (byoh_keyring_count(now) >= input->threshold &&
	    byoh_keyring_count(trusted) + after.others < input->threshold)
		return refuse(input, signers, err);
	return 0;
}
