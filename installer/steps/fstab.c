/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "installer/steps/steps-internal.h"

/* In front of an entry that was switched off; what is behind it is the entry as it was. */
#define MARKER "#byoh# "

static size_t skip_blanks(const char *line, size_t size, size_t at)
{
	while (at < size && (line[at] == ' ' || line[at] == '\t'))
		at++;
	return at;
}

static size_t skip_word(const char *line, size_t size, size_t at)
{
	while (at < size && line[at] != ' ' && line[at] != '\t')
		at++;
	return at;
}

/* fstab(5): device, mount point, type. A line with " swap " elsewhere is no swap. */
static bool is_swap_entry(const char *line, size_t size)
{
	size_t at = skip_blanks(line, size, 0), end;

	if (at == size || line[at] == '#')
		return false;
	for (int field = 0; field < 2; field++)
		at = skip_blanks(line, size, skip_word(line, size, at));
	end = skip_word(line, size, at);
	return end - at == 4 && !memcmp(line + at, "swap", 4);
}

static bool is_marked(const char *line, size_t size)
{
	return size >= strlen(MARKER) && !memcmp(line, MARKER, strlen(MARKER));
}

int byoh_fstab_without_swap(const char *text, size_t size, struct byoh_buffer *ret,
			    size_t *ret_entries, struct byoh_error *err)
{
	size_t entries = 0;
	int rc = 0;

	for (size_t at = 0; at < size && !rc;) {
		const char *line = text + at;
		const char *newline = memchr(line, '\n', size - at);
		size_t length = newline ? (size_t)(newline - line) : size - at;
		size_t whole = length + (newline != NULL);
		bool swap = is_swap_entry(line, length);

		entries += swap || is_marked(line, length);
		if (swap)
			rc = byoh_buffer_add_string(ret, MARKER, err);
		if (!rc)
			rc = byoh_buffer_add(ret, line, whole, err);
		at += whole;
	}
	*ret_entries = entries;
	return rc;
}
