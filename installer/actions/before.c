/* SPDX-License-Identifier: Apache-2.0 */
/* The state before an action, as a record of the journal. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/actions/before.h"

void byoh_before_release(struct byoh_before *before)
{
	free(before->subject);
	free(before->type);
	free(before->value);
	free(before->made);
	*before = (struct byoh_before){ 0 };
}

int byoh_before_set(char **field, const char *value, struct byoh_error *err)
{
	char *copy = strdup(value);

	if (!copy)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	free(*field);
	*field = copy;
	return 0;
}

int byoh_before_set_path(struct byoh_before *before, const struct stat *st, const char *type,
			 struct byoh_error *err)
{
	before->existed = true;
	before->mode = st->st_mode & 07777;
	before->uid = st->st_uid;
	before->gid = st->st_gid;
	return byoh_before_set(&before->type, type, err);
}

static int copy_field(char **field, const char *value, struct byoh_error *err)
{
	return value ? byoh_before_set(field, value, err) : 0;
}

int byoh_before_copy(const struct byoh_before *before, struct byoh_before *ret, struct byoh_error *err)
{
	struct byoh_before copy = *before;
	int r;

	copy.subject = copy.type = copy.value = copy.made = NULL;
	r = copy_field(&copy.subject, before->subject, err);
	if (r == 0)
		r = copy_field(&copy.type, before->type, err);
	if (r == 0)
		r = copy_field(&copy.value, before->value, err);
	if (r == 0)
		r = copy_field(&copy.made, before->made, err);
	if (r < 0)
		byoh_before_release(&copy);
	else
		*ret = copy;
	return r;
}

void byoh_before_describe(const struct byoh_before *before, struct byoh_record *record)
{
	byoh_record_u64(record, "action", before->number);
	byoh_record_string(record, "kind", byoh_action_kind_name(before->kind));
	byoh_record_string(record, "subject", before->subject);
	byoh_record_u64(record, "existed", before->existed);
	byoh_record_string(record, "type", before->type);
	if (before->type) {
		byoh_record_u64(record, "mode", before->mode);
		byoh_record_u64(record, "uid", before->uid);
		byoh_record_u64(record, "gid", before->gid);
	}
	byoh_record_string(record, "value", before->value);
	byoh_record_string(record, "made", before->made);
	if (before->priority)
		byoh_record_u64(record, "priority", before->priority);
}

int byoh_before_write(const struct byoh_before *before, struct byoh_journal *journal,
		      struct byoh_error *err)
{
	CLEANUP_RECORD struct byoh_record record = { 0 };

	byoh_record_begin(&record, "before");
	byoh_before_describe(before, &record);
	return byoh_journal_add(journal, &record, err);
}

static int read_kind(const struct byoh_yaml *doc, enum byoh_action_kind *ret, struct byoh_error *err)
{
	const char *name = NULL;
	int r = byoh_yaml_read_string(doc, byoh_yaml_root(doc), "kind", true, &name, err);

	if (r < 0)
		return r;
	for (int kind = 0; kind < BYOH_ACTION_KINDS; kind++) {
		if (strcmp(name, byoh_action_kind_name((enum byoh_action_kind)kind)) == 0) {
			*ret = (enum byoh_action_kind)kind;
			return 0;
		}
	}
	return byoh_yaml_fail(doc, NULL, err, "unknown kind of action \"%s\"", name);
}

static int read_text(const struct byoh_yaml *doc, const char *key, bool required, char **ret,
		     struct byoh_error *err)
{
	const char *text = NULL;
	int r = byoh_yaml_read_string(doc, byoh_yaml_root(doc), key, required, &text, err);

	return r < 0 || !text ? r : byoh_before_set(ret, text, err);
}

static int read_numbers(const struct byoh_yaml *doc, struct byoh_before *ret, struct byoh_error *err)
{
	const struct {
		const char *key;
		bool required;
		uint64_t *value;
	} fields[] = {
		{ "action", true, &ret->number }, { "mode", false, &ret->mode },
		{ "uid", false, &ret->uid },	  { "gid", false, &ret->gid },
		{ "priority", false, &ret->priority },
	};
	uint64_t existed = 0;
	int r = byoh_yaml_read_u64(doc, byoh_yaml_root(doc), "existed", true, &existed, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fields); i++)
		r = byoh_yaml_read_u64(doc, byoh_yaml_root(doc), fields[i].key, fields[i].required,
				       fields[i].value, err);
	ret->existed = existed != 0;
	return r;
}

int byoh_before_read(const struct byoh_yaml *record, struct byoh_before *ret, struct byoh_error *err)
{
	int r = read_kind(record, &ret->kind, err);

	if (r == 0)
		r = read_numbers(record, ret, err);
	if (r == 0)
		r = read_text(record, "subject", true, &ret->subject, err);
	if (r == 0)
		r = read_text(record, "type", false, &ret->type, err);
	if (r == 0)
		r = read_text(record, "value", false, &ret->value, err);
	if (r == 0)
		r = read_text(record, "made", false, &ret->made, err);
	return r;
}
