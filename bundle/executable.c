/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/executable.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/cursor.h"

#define MAX_PROGRAM_HEADERS 64	 /* linkers write about a dozen */
#define MAX_NOTES_SIZE ((uint64_t)64 << 10)
#define MAX_EXECUTABLE ((uint64_t)256 << 20)

static int no_note(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_FORMAT, ENOEXEC, "not an executable that can carry a bundle");
}

static uint64_t align4(uint64_t n)
{
	return (n + 3) & ~(uint64_t)3;
}

/* Looks through one note segment; *ret_at is relative to it. */
static bool find_note(const unsigned char *notes, size_t size, uint64_t *ret_offset, uint64_t *ret_at)
{
	struct byoh_cursor c = byoh_cursor_over(notes, size);

	while (c.left >= 12) {
		uint32_t owner_size = byoh_cursor_u32(&c), value_size = byoh_cursor_u32(&c);
		uint32_t type = byoh_cursor_u32(&c);
		const unsigned char *owner = byoh_cursor_take(&c, align4(owner_size));
		const unsigned char *value = byoh_cursor_take(&c, align4(value_size));

		if (!owner || !value)
			return false;
		if (type == BYOH_NOTE_TYPE && value_size == 8 && owner_size == sizeof(BYOH_NOTE_OWNER) &&
		    memcmp(owner, BYOH_NOTE_OWNER, sizeof(BYOH_NOTE_OWNER)) == 0) {
			struct byoh_cursor v = byoh_cursor_over(value, 8);

			*ret_offset = byoh_cursor_u64(&v);
			*ret_at = (uint64_t)(value - notes);
			return true;
		}
	}
	return false;
}

static int look_in_segment(struct byoh_reader *reader, const Elf64_Phdr *segment, uint64_t *ret_offset,
			   uint64_t *ret_at, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer notes = {0};
	int r;

	if (segment->p_filesz > MAX_NOTES_SIZE || segment->p_offset > MAX_EXECUTABLE)
		return no_note(err);
	r = byoh_buffer_add_zeros(&notes, (size_t)segment->p_filesz, err);
	if (r == 0)
		r = byoh_reader_read(reader, notes.data, notes.size, segment->p_offset, err);
	if (r < 0)
		return r;
	if (!find_note((const unsigned char *)notes.data, notes.size, ret_offset, ret_at))
		return no_note(err);
	*ret_at += segment->p_offset;
	return 0;
}

int byoh_executable_note(struct byoh_reader *reader, uint64_t *ret_offset, uint64_t *ret_at,
			 struct byoh_error *err)
{
	Elf64_Phdr segments[MAX_PROGRAM_HEADERS];
	uint64_t at = 0;
	Elf64_Ehdr header;

	if (byoh_reader_read(reader, &header, sizeof(header), 0, NULL) < 0 ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_phentsize != sizeof(Elf64_Phdr) ||
	    !header.e_phnum || header.e_phnum > MAX_PROGRAM_HEADERS || header.e_phoff > MAX_EXECUTABLE)
		return no_note(err);
	if (byoh_reader_read(reader, segments, header.e_phnum * sizeof(segments[0]), header.e_phoff, NULL) < 0)
		return no_note(err);
	for (size_t i = 0; i < header.e_phnum; i++) {
		if (segments[i].p_type != PT_NOTE ||
		    look_in_segment(reader, &segments[i], ret_offset, &at, NULL) < 0)
			continue;
		if (ret_at)
			*ret_at = at;
		return 0;
	}
	return no_note(err);
}

int byoh_executable_prepare(const char *stub, struct byoh_buffer *ret, uint64_t *ret_offset,
			    struct byoh_error *err)
{
	CLEANUP_READER struct byoh_reader *reader = NULL;
	uint64_t joined, at, join;
	int r = byoh_reader_of_file(stub, &reader, err);

	if (r < 0)
		return byoh_error_wrap(err, r, "the executable");
	r = byoh_executable_note(reader, &joined, &at, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s", stub);
	if (joined)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "%s has a bundle joined already; give the bare byoh-install", stub);
	if (reader->size > MAX_EXECUTABLE)
		return byoh_fail(err, BYOH_ERROR_USAGE, EFBIG, "%s is too large", stub);
	r = byoh_buffer_add_zeros(ret, (size_t)reader->size, err);
	if (r == 0)
		r = byoh_reader_read(reader, ret->data, (size_t)reader->size, 0, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s", stub);
	join = byoh_executable_join_offset(reader->size);
	for (size_t i = 0; i < 8; i++)
		ret->data[at + i] = (char)(join >> (8 * i));
	*ret_offset = join;
	return 0;
}
