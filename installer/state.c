/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/path.h"
#include "bundle/base/yaml.h"

#define MAX_SIZE ((size_t)1 << 20)
#define FORMAT "byoh-state/v1"

static int copy_string(const struct byoh_yaml *doc, const char *key, bool required, char **ret,
		       struct byoh_error *err)
{
	const char *text = NULL;
	int r = byoh_yaml_read_string(doc, byoh_yaml_root(doc), key, required, &text, err);

	if (r < 0 || !text)
		return r;
	*ret = strdup(text);
	return *ret ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int read_floors(const struct byoh_yaml *doc, struct byoh_state *state, struct byoh_error *err)
{
	const struct byoh_yaml_node *map = NULL;
	int r = byoh_yaml_read_node(doc, byoh_yaml_root(doc), "floors", BYOH_YAML_MAPPING, false, &map, err);

	for (size_t i = 0; r == 0 && map && i < map->count; i++) {
		uint64_t epoch = 0;

		r = byoh_yaml_read_u64(doc, map, map->keys[i]->text, true, &epoch, err);
		if (r == 0)
			r = byoh_state_raise_floor(state, map->keys[i]->text, epoch, err);
	}
	return r;
}

static int check_format(const struct byoh_yaml *doc, struct byoh_error *err)
{
	const char *format = NULL;
	int r = byoh_yaml_read_string(doc, byoh_yaml_root(doc), "format", true, &format, err);

	if (r == 0 && strcmp(format, FORMAT) != 0)
		return byoh_yaml_fail(doc, NULL, err,
				      "written by a newer release (%s); use its byoh-install", format);
	return r;
}

static int read_fields(const struct byoh_yaml *doc, struct byoh_state *state, struct byoh_error *err)
{
	int r = check_format(doc, err);

	if (r == 0)
		r = copy_string(doc, "release", false, &state->release_id, err);
	if (r == 0)
		r = copy_string(doc, "config", false, &state->config_id, err);
	if (r == 0)
		r = copy_string(doc, "previous", false, &state->previous_id, err);
	if (r == 0)
		r = copy_string(doc, "bases", false, &state->bases, err);
	if (r == 0)
		r = copy_string(doc, "name", false, &state->name, err);
	if (r == 0)
		r = copy_string(doc, "version", false, &state->version, err);
	if (r == 0)
		r = copy_string(doc, "kubernetes", false, &state->kubernetes, err);
	if (r == 0)
		r = copy_string(doc, "joinMode", false, &state->join_mode, err);
	if (r == 0)
		r = byoh_yaml_read_u64(doc, byoh_yaml_root(doc), "installedAt", true, &state->installed_at,
				       err);
	if (r == 0)
		r = byoh_yaml_read_bool(doc, byoh_yaml_root(doc), "settled", true, &state->settled, err);
	return r < 0 ? r : read_floors(doc, state, err);
}

int byoh_state_parse(const char *text, size_t size, const char *name, struct byoh_state **ret,
		     struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	CLEANUP_STATE struct byoh_state *state = NULL;
	int r = byoh_yaml_parse(text, size, name, BYOH_ERROR_SYSTEM, &doc, err);

	if (r < 0)
		return r;
	state = calloc(1, sizeof(*state));
	if (!state)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = read_fields(doc, state, err);
	if (r == 0)
		*ret = TAKE_PTR(state);
	return r;
}

static int read_state(const struct byoh_host *host, const char *path, struct byoh_state **ret,
		      struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	int r;

	*ret = NULL;
	if (!byoh_exists_beneath(host->root_fd, path))
		return 0;
	r = byoh_read_file(host->root_fd, path, MAX_SIZE, &text, err);
	return r < 0 ? r : byoh_state_parse(byoh_buffer_text(&text), text.size, path, ret, err);
}

int byoh_state_read(const struct byoh_host *host, struct byoh_state **ret, struct byoh_error *err)
{
	return read_state(host, BYOH_STATE_PATH, ret, err);
}

int byoh_state_read_previous(const struct byoh_host *host, struct byoh_state **ret, struct byoh_error *err)
{
	return read_state(host, BYOH_PREVIOUS_FOLDER "/state.json", ret, err);
}

void byoh_state_free(struct byoh_state *state)
{
	if (!state)
		return;
	free(state->release_id);
	free(state->config_id);
	free(state->previous_id);
	free(state->bases);
	free(state->name);
	free(state->version);
	free(state->kubernetes);
	free(state->join_mode);
	for (size_t i = 0; i < state->floor_count; i++)
		free(state->floors[i].name);
	free(state->floors);
	free(state);
}

void byoh_state_freep(struct byoh_state **state)
{
	byoh_state_free(*state);
}

static struct byoh_epoch_floor *find_floor(const struct byoh_state *state, const char *name)
{
	for (size_t i = 0; state && i < state->floor_count; i++)
		if (strcmp(state->floors[i].name, name) == 0)
			return &state->floors[i];
	return NULL;
}

uint64_t byoh_state_floor(const struct byoh_state *state, const char *name)
{
	const struct byoh_epoch_floor *known = find_floor(state, name);

	return known ? known->epoch : 0;
}

int byoh_state_raise_floor(struct byoh_state *state, const char *name, uint64_t epoch,
			   struct byoh_error *err)
{
	struct byoh_epoch_floor *known = find_floor(state, name);
	struct byoh_epoch_floor *grown;
	char *copy;

	if (known) {
		known->epoch = epoch > known->epoch ? epoch : known->epoch;
		return 0;
	}
	grown = reallocarray(state->floors, state->floor_count + 1, sizeof(*grown));
	if (grown)
		state->floors = grown;
	copy = grown ? strdup(name) : NULL;
	if (!copy)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	state->floors[state->floor_count++] = (struct byoh_epoch_floor){ copy, epoch };
	return 0;
}

int byoh_state_json(const struct byoh_state *state, struct byoh_buffer *ret, struct byoh_error *err)
{
	struct byoh_json json = byoh_json_to(ret);

	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "format", FORMAT);
	byoh_json_field_string(&json, "release", state->release_id);
	byoh_json_field_string(&json, "config", state->config_id);
	byoh_json_field_string(&json, "previous", state->previous_id);
	if (state->bases)
		byoh_json_field_string(&json, "bases", state->bases);
	byoh_json_field_string(&json, "name", state->name);
	byoh_json_field_string(&json, "version", state->version);
	byoh_json_field_string(&json, "kubernetes", state->kubernetes);
	byoh_json_field_string(&json, "joinMode", state->join_mode);
	byoh_json_field_u64(&json, "installedAt", state->installed_at);
	byoh_json_field_bool(&json, "settled", state->settled);
	byoh_json_key(&json, "floors");
	byoh_json_begin_object(&json);
	for (size_t i = 0; i < state->floor_count; i++)
		byoh_json_field_u64(&json, state->floors[i].name, state->floors[i].epoch);
	byoh_json_end_object(&json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}
