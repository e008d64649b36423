/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way to read untrusted bytes: a cursor over (pointer, length). A read past the end sets
 * `failed` and yields zeros; parsers check `failed` once where it matters, and never index by hand.
 */
#ifndef BYOH_BASE_CURSOR_H
#define BYOH_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct byoh_cursor {
	const unsigned char *next;
	size_t left;
	bool failed;
};

static inline struct byoh_cursor byoh_cursor_over(const void *bytes, size_t size)
{
	return (struct byoh_cursor){ .next = bytes, .left = size };
}

/* size bytes, or NULL and failed. */
static inline const unsigned char *byoh_cursor_take(struct byoh_cursor *c, size_t size)
{
	const unsigned char *at = c->next;

	if (c->failed || size > c->left) {
		c->failed = true;
		return NULL;
	}
	c->next += size;
	c->left -= size;
	return at;
}

static inline uint64_t byoh_cursor_little_endian(struct byoh_cursor *c, size_t bytes)
{
	const unsigned char *at = byoh_cursor_take(c, bytes);
	uint64_t value = 0;

	for (size_t i = 0; at && i < bytes; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

static inline uint32_t byoh_cursor_u32(struct byoh_cursor *c)
{
	return (uint32_t)byoh_cursor_little_endian(c, 4);
}

static inline uint64_t byoh_cursor_u64(struct byoh_cursor *c)
{
	return byoh_cursor_little_endian(c, 8);
}

/* Copies size bytes to ret; zeros where the read failed. */
static inline void byoh_cursor_copy(struct byoh_cursor *c, void *ret, size_t size)
{
	const unsigned char *at = byoh_cursor_take(c, size);

	if (at)
		memcpy(ret, at, size);
	else
		memset(ret, 0, size);
}

static inline bool byoh_cursor_zeros(struct byoh_cursor *c, size_t size)
{
	const unsigned char *at = byoh_cursor_take(c, size);

	for (size_t i = 0; at && i < size; i++)
		if (at[i])
			return false;
	return at != NULL;
}

#endif
