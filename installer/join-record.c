/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/join-record.h"

#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/path.h"
#include "bundle/base/yaml.h"

#define FORMAT "byoh-kubeadm-join/v1"
#define RECORD_MAX ((size_t)64 << 10)

static const char *known_state(const char *text)
{
	static const char *const states[] = { "joining", "joined", "later", "failed" };

	for (size_t i = 0; text && i < ARRAY_SIZE(states); i++)
		if (strcmp(text, states[i]) == 0)
			return states[i];
	return NULL;
}

bool byoh_join_record_parse(const char *text, size_t size, struct byoh_join_record *ret)
{
	const char *format = "", *state = NULL, *cause = "", *remedy = "";
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const struct byoh_yaml_node *root;

	*ret = (struct byoh_join_record){ 0 };
	if (byoh_yaml_parse(text, size, "record", BYOH_ERROR_FORMAT, &doc, NULL) < 0)
		return false;
	root = byoh_yaml_root(doc);
	if (!root || root->type != BYOH_YAML_MAPPING ||
	    byoh_yaml_read_string(doc, root, "format", true, &format, NULL) < 0 ||
	    byoh_yaml_read_string(doc, root, "state", true, &state, NULL) < 0 ||
	    byoh_yaml_read_string(doc, root, "cause", false, &cause, NULL) < 0 ||
	    byoh_yaml_read_string(doc, root, "remedy", false, &remedy, NULL) < 0 || strcmp(format, FORMAT) != 0)
		return false;
	ret->state = known_state(state);
	if (!ret->state)
		return false;
	snprintf(ret->cause, sizeof(ret->cause), "%s", cause);
	snprintf(ret->remedy, sizeof(ret->remedy), "%s", remedy);
	byoh_make_printable(ret->cause);
	byoh_make_printable(ret->remedy);
	return true;
}

void byoh_join_record_read(int root_fd, struct byoh_join_record *ret)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	*ret = (struct byoh_join_record){ 0 };
	if (byoh_read_file(root_fd, BYOH_JOIN_RECORD_PATH, RECORD_MAX, &text, NULL) == 0)
		(void)byoh_join_record_parse(byoh_buffer_text(&text), text.size, ret);
}

int byoh_join_record_write(int root_fd, const struct byoh_join_record *record, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_json json = byoh_json_to(&text);
	int r;

	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "format", FORMAT);
	byoh_json_field_string(&json, "state", record->state);
	byoh_json_field_string(&json, "cause", record->cause[0] ? record->cause : NULL);
	byoh_json_field_string(&json, "remedy", record->remedy[0] ? record->remedy : NULL);
	byoh_json_end_object(&json);
	r = byoh_json_finish(&json, err);
	return r < 0 ? r : byoh_write_file(root_fd, BYOH_JOIN_RECORD_PATH, text.data, text.size, 0600, err);
}
