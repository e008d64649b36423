/* SPDX-License-Identifier: Apache-2.0 */
/* What a transaction adds to a plan: the images' blobs, the copy of the bundle, and the host's state. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/base.h"
#include "installer/credentials.h"
#include "installer/state.h"
#include "installer/transaction-internal.h"

#define PREVIOUS_CONFIG BYOH_PREVIOUS_FOLDER "/config"
#define MAX_KEPT_SIZE ((size_t)16 << 20)

static void blob_path(const struct byoh_digest *digest, char ret[static 128])
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(digest, hex);
	snprintf(ret, 128, "/" BYOH_IMAGE_BLOB_DIR "/%s", hex);
}

static const struct byoh_action *find_blob(const struct byoh_step *step, const struct byoh_digest *digest,
					   size_t *ret_index)
{
	for (size_t i = 0; i < step->action_count; i++) {
		if (byoh_digest_equal(&step->actions[i].digest, digest)) {
			*ret_index = i;
			return &step->actions[i];
		}
	}
	return NULL;
}

static int add_blob(struct byoh_transaction *transaction, const struct byoh_image *image,
		    const struct byoh_digest *digest, struct byoh_error *err)
{
	struct byoh_bundle *bundle = transaction->input->bundle;
	const struct byoh_file *file;
	struct byoh_action *action;
	char path[128];
	size_t index;
	int r;

	if (find_blob(&transaction->blobs, digest, &index))
		return 0;
	blob_path(digest, path);
	file = bundle ? byoh_index_find(byoh_bundle_index(bundle), path + 1) : NULL;
	if (!file || file->type != BYOH_FILE_REGULAR)
		return byoh_fail(err, BYOH_ERROR_FORMAT, ENOENT, "the bundle lacks %s, a part of the image %s",
				 path + 1, image->ref);
	r = byoh_step_other(&transaction->blobs, BYOH_ACTION_FILE, path, NULL, &action, err);
	if (r < 0)
		return r;
	action->mode = 0600;
	action->file = file;
	action->digest = *digest;
	action->size = file->size;
	return byoh_action_check(&transaction->context, action, err);
}

static bool is_wanted_image(const struct byoh_action *action)
{
	return action->kind == BYOH_ACTION_IMAGE && action->image &&
	       (byoh_action_is_change(action) || action->state == BYOH_STATE_LATER);
}

int byoh_transaction_add_blobs(struct byoh_transaction *transaction, struct byoh_error *err)
{
	const struct byoh_plan *plan = transaction->input->plan;

	transaction->blobs.name = "blobs";
	for (size_t i = 0; i < plan->step_count; i++) {
		for (size_t j = 0; j < plan->steps[i].action_count; j++) {
			const struct byoh_action *action = &plan->steps[i].actions[j];
			int r = 0;

			if (!is_wanted_image(action))
				continue;
			for (size_t k = 0; r == 0 && k < action->image->blob_count; k++)
				r = add_blob(transaction, action->image, &action->image->blobs[k], err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int byoh_transaction_open_blob(void *context, const struct byoh_digest *digest, struct byoh_error *err)
{
	struct byoh_transaction *transaction = context;
	size_t index = 0;
	const struct byoh_action *action = find_blob(&transaction->blobs, digest, &index);
	size_t number = index;
	char name[32], path[128];
	int fd;

	if (!action || !byoh_action_is_change(action)) { /* left by an installation below --root */
		blob_path(digest, path);
		return byoh_open_beneath(transaction->host->root_fd, path, O_RDONLY, 0, err);
	}
	for (size_t i = 0; i < transaction->input->plan->step_count; i++)
		number += transaction->input->plan->steps[i].action_count;
	byoh_staged_name(number, name);
	fd = openat(transaction->folders[number], name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? byoh_fail_errno(err, "cannot open the staged %s", action->subject) : fd;
}

static int add_bundle_copy(struct byoh_transaction *transaction, struct byoh_error *err)
{
	struct byoh_bundle *bundle = transaction->input->bundle;
	char hex[BYOH_DIGEST_HEX_SIZE];
	struct byoh_action *action;
	char path[256];
	struct stat st;
	bool absent;
	int r;

	byoh_digest_hex(byoh_bundle_id(bundle), hex);
	snprintf(path, sizeof(path), BYOH_RELEASES_FOLDER "/%s/bundle", hex);
	r = byoh_step_other(&transaction->release, BYOH_ACTION_FILE, path, NULL, &action, err);
	if (r == 0)
		r = byoh_path_check_absent(&transaction->context, path, &st, &absent, err);
	if (r < 0)
		return r;
	action->mode = 0600;
	action->size = byoh_bundle_size(bundle);
	/* It got its name only when it was whole; its blocks are checked whenever it is read. */
	action->state = BYOH_STATE_DIFFERENT;
	if (absent)
		action->state = BYOH_STATE_ABSENT;
	else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size == action->size && !transaction->input->renews_copy)
		action->state = BYOH_STATE_SAME;
	return 0;
}

static int fill_release(const struct byoh_transaction *transaction, struct byoh_state *state,
			struct byoh_error *err)
{
	const struct byoh_plan_input *input = transaction->input->plan_input;
	const struct byoh_manifest *manifest = input->manifest;
	char hex[BYOH_DIGEST_HEX_SIZE];
	int r = 0;

	if (transaction->input->bundle) {
		byoh_digest_hex(byoh_bundle_id(transaction->input->bundle), hex);
		r = byoh_before_set(&state->release_id, hex, err);
	}
	if (r == 0 && manifest) {
		r = byoh_before_set(&state->name, manifest->name, err);
		if (r == 0)
			r = byoh_before_set(&state->version, manifest->version, err);
		if (r == 0)
			r = byoh_state_raise_floor(state, manifest->name, manifest->epoch, err);
		free(state->kubernetes);
		state->kubernetes = NULL;
		if (r == 0 && manifest->kubernetes)
			r = byoh_before_set(&state->kubernetes, manifest->kubernetes, err);
	}
	if (r == 0 && input->config)
		r = byoh_before_set(&state->join_mode, byoh_join_mode_name(input->config->join_mode), err);
	return r;
}

/* What the release cannot do without: they stay as long as it does. */
static int set_bases(const struct byoh_transaction *transaction, struct byoh_state *state, struct byoh_error *err)
{
	const struct byoh_bundle *bundle = transaction->input->bundle;
	CLEANUP_BUFFER struct byoh_buffer ids = { 0 };
	int r;

	/* A repair may do without the base, and has not looked for it then. */
	if (!bundle || (byoh_bundle_is_delta(bundle) && !byoh_bundle_base(bundle)))
		return 0;
	r = byoh_base_ids(bundle, &ids, err);
	if (r < 0)
		return r;
	free(state->bases);
	state->bases = NULL;
	return ids.size ? byoh_before_set(&state->bases, ids.data, err) : 0;
}

static int set_config_id(const struct byoh_transaction *transaction, struct byoh_state *state,
			 struct byoh_error *err)
{
	const struct byoh_config *config = transaction->input->plan_input->config;
	char hex[BYOH_DIGEST_HEX_SIZE];
	struct byoh_digest digest;
	int r;

	if (!config || !config->text.size) {
		free(state->config_id);
		state->config_id = NULL;
		return 0;
	}
	r = byoh_digest_of(config->text.data, config->text.size, &digest, err);
	if (r < 0)
		return r;
	byoh_digest_hex(&digest, hex);
	return byoh_before_set(&state->config_id, hex, err);
}

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* The time stays while the release does, so that a second run has nothing to write. */
static int make_state(const struct byoh_transaction *transaction, struct byoh_state *state, bool first,
		      bool *ret_other, struct byoh_error *err)
{
	CLEANUP_FREE char *old_release = NULL;
	CLEANUP_FREE char *old_config = NULL;
	int r = 0;

	if (state->release_id)
		r = byoh_before_set(&old_release, state->release_id, err);
	if (r == 0 && state->config_id)
		r = byoh_before_set(&old_config, state->config_id, err);
	if (r == 0)
		r = fill_release(transaction, state, err);
	if (r == 0)
		r = set_bases(transaction, state, err);
	if (r == 0)
		r = set_config_id(transaction, state, err);
	if (r < 0)
		return r;
	if (first || !is_same_text(old_release, state->release_id))
		state->installed_at = (uint64_t)time(NULL);
	state->settled = !transaction->later;
	*ret_other = !first && (!is_same_text(old_release, state->release_id) ||
				!is_same_text(old_config, state->config_id));
	if (!*ret_other || !transaction->input->keeps_previous)
		return 0;
	free(state->previous_id);
	state->previous_id = TAKE_PTR(old_release);
	return 0;
}

/*
 * The release before
 */

static int add_kept_file(struct byoh_transaction *transaction, const char *from, const char *to,
			 struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer bytes = { 0 };
	struct byoh_action *action;
	int r = byoh_read_file(transaction->host->root_fd, from, MAX_KEPT_SIZE, &bytes, err);

	if (r == 0)
		r = byoh_step_file(&transaction->release, to, 0600, byoh_buffer_text(&bytes), bytes.size,
				   &action, err);
	if (r < 0)
		return r;
	action->secret = true;
	return byoh_action_check(&transaction->context, action, err);
}

static int keep_config_file(void *context, const char *name, struct byoh_error *err)
{
	struct byoh_transaction *transaction = context;
	CLEANUP_FREE char *from = NULL;
	CLEANUP_FREE char *to = NULL;

	if (asprintf(&from, BYOH_CONFIG_FOLDER "/%s", name) < 0 ||
	    asprintf(&to, PREVIOUS_CONFIG "/%s", name) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	return add_kept_file(transaction, from, to, err);
}

/* Of the one before the one before. */
static int drop_unnamed(struct byoh_transaction *transaction, const char *folder, const char *name,
			struct byoh_error *err)
{
	struct byoh_step *step;
	CLEANUP_FREE char *path = NULL;
	int r;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; (step = byoh_transaction_step(transaction, i)); i++)
		for (size_t j = 0; j < step->action_count; j++)
			if (strcmp(step->actions[j].subject, path) == 0)
				return 0;
	step = &transaction->release;
	r = byoh_step_remove(step, path, err);
	return r < 0 ? r : byoh_action_check(&transaction->context, &step->actions[step->action_count - 1],
					     err);
}

static int drop_previous_file(void *context, const char *name, struct byoh_error *err)
{
	struct byoh_transaction *transaction = context;

	return drop_unnamed(transaction, PREVIOUS_CONFIG, name, err);
}

static int drop_config_file(void *context, const char *name, struct byoh_error *err)
{
	struct byoh_transaction *transaction = context;

	return drop_unnamed(transaction, BYOH_CONFIG_FOLDER, name, err);
}

static int add_previous(struct byoh_transaction *transaction, struct byoh_error *err)
{
	int r = add_kept_file(transaction, BYOH_STATE_PATH, BYOH_PREVIOUS_FOLDER "/state.json", err);

	if (r == 0)
		r = byoh_each_name(transaction->host->root_fd, BYOH_CONFIG_FOLDER, keep_config_file, transaction, err);
	return r < 0 ? r : byoh_each_name(transaction->host->root_fd, PREVIOUS_CONFIG, drop_previous_file, transaction, err);
}

static int add_marker(struct byoh_transaction *transaction, struct byoh_error *err)
{
	struct byoh_step *step = &transaction->release;
	struct byoh_action *action;
	int r;

	if (transaction->later)
		r = byoh_step_file(step, BYOH_UNSETTLED_PATH, 0600, "", 0, &action, err);
	else
		r = byoh_step_remove(step, BYOH_UNSETTLED_PATH, err);
	if (r < 0)
		return r;
	return byoh_action_check(&transaction->context, &step->actions[step->action_count - 1], err);
}

int byoh_transaction_add_release(struct byoh_transaction *transaction, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP_STATE struct byoh_state *state = NULL;
	struct byoh_action *action;
	bool first, other = false;
	int r = byoh_state_read(transaction->host, &state, err);

	first = !state;
	if (r == 0 && first && !(state = calloc(1, sizeof(*state))))
		r = byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	transaction->release.name = "release";
	if (r == 0 && transaction->input->bundle)
		r = add_bundle_copy(transaction, err);
	if (r == 0)
		r = make_state(transaction, state, first, &other, err);
	if (r == 0 && other && transaction->input->keeps_previous)
		r = add_previous(transaction, err);
	if (r == 0)
		r = byoh_each_name(transaction->host->root_fd, BYOH_CONFIG_FOLDER, drop_config_file, transaction, err);
	if (r == 0)
		r = byoh_state_json(state, &text, err);
	if (r == 0)
		r = byoh_step_file(&transaction->release, BYOH_STATE_PATH, 0600, byoh_buffer_text(&text),
				   text.size, &action, err);
	if (r == 0)
		r = byoh_action_check(&transaction->context, action, err);
	return r < 0 ? r : add_marker(transaction, err);
}
