/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/disk/accounts.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/credentials.h"

#define FIRST_ID 1000 /* login.defs(5): of people */
#define LAST_ID 60000
#define NO_PASSWORD "*" /* "!" would be a locked account, which sshd may refuse as a whole */
#define CHANGED "19000" /* days: long past on any clock, so that no password has to be changed at once */

void byoh_accounts_release(struct byoh_accounts *accounts)
{
	byoh_buffer_release(&accounts->passwd);
	byoh_secret_buffer_release(&accounts->shadow);
	byoh_buffer_release(&accounts->group);
	byoh_secret_buffer_release(&accounts->gshadow);
}

/* The line of that name, or NULL. */
static const char *find_line(const struct byoh_buffer *file, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = byoh_buffer_text(file); *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, name, length) == 0 && line[length] == ':')
			return line;
	return NULL;
}

/* The third field is an id, in both files. */
static bool has_id(const struct byoh_buffer *file, uint32_t id)
{
	for (const char *line = byoh_buffer_text(file); *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *end = line + strcspn(line, "\n"), *at = line;

		for (int i = 0; i < 2 && at; i++) {
			at = memchr(at, ':', (size_t)(end - at));
			at = at ? at + 1 : NULL;
		}
		if (at && strtoul(at, NULL, 10) == id)
			return true;
	}
	return false;
}

static uint32_t free_id(const struct byoh_accounts *accounts)
{
	uint32_t id = FIRST_ID;

	while (id < LAST_ID && (has_id(&accounts->passwd, id) || has_id(&accounts->group, id)))
		id++;
	return id;
}

/* A file whose last line lacks its end would swallow the next. */
static int end_line(struct byoh_buffer *file, struct byoh_error *err)
{
	return file->size && file->data[file->size - 1] != '\n' ? byoh_buffer_add_string(file, "\n", err) : 0;
}

static int set_root_password(struct byoh_accounts *accounts, const char *hash, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	const char *line = find_line(&accounts->shadow, "root"), *field, *rest;

	if (!line)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "the system's /etc/shadow has no root");
	field = line + strlen("root:");
	rest = field + strcspn(field, ":\n");
	TRY(byoh_buffer_add(&text, accounts->shadow.data, (size_t)(field - accounts->shadow.data), err));
	TRY(byoh_buffer_add_string(&text, hash, err));
	TRY(byoh_buffer_add_string(&text, rest, err));
	byoh_secret_buffer_release(&accounts->shadow);
	accounts->shadow = text;
	text = (struct byoh_buffer){ 0 };
	return 0;
}

static int add_lines(struct byoh_accounts *accounts, const struct byoh_iso_user *user, uint32_t id, struct byoh_error *err)
{
	struct byoh_buffer *const files[] = { &accounts->passwd, &accounts->shadow, &accounts->group, &accounts->gshadow };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		TRY(end_line(files[i], err));
	TRY(byoh_buffer_printf(&accounts->passwd, err, "%s:x:%u:%u::/home/%s:/bin/bash\n", user->name, id, id, user->name));
	TRY(byoh_buffer_printf(&accounts->group, err, "%s:x:%u:\n", user->name, id));
	TRY(byoh_buffer_printf(&accounts->gshadow, err, "%s:!::\n", user->name));
	return byoh_buffer_printf(&accounts->shadow, err, "%s:%s:" CHANGED ":0:99999:7:::\n", user->name,
				  user->password_hash ? user->password_hash : NO_PASSWORD);
}

int byoh_accounts_add(struct byoh_accounts *accounts, const struct byoh_iso_user *user, uint32_t *ret_id, char ret_home[64],
		      struct byoh_error *err)
{
	if (strcmp(user->name, "root") == 0) {
		*ret_id = 0;
		snprintf(ret_home, 64, "/root");
		return user->password_hash ? set_root_password(accounts, user->password_hash, err) : 0;
	}
	if (find_line(&accounts->passwd, user->name) || find_line(&accounts->group, user->name))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EEXIST,
				 "iso.users: the system has a user or group %s already; take another name", user->name);
	*ret_id = free_id(accounts);
	snprintf(ret_home, 64, "/home/%s", user->name);
	return add_lines(accounts, user, *ret_id, err);
}
