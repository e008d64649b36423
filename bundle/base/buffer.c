/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/base/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void byoh_buffer_release(struct byoh_buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct byoh_buffer){0};
}

int byoh_buffer_reserve(struct byoh_buffer *buffer, size_t more, struct byoh_error *err)
{
	size_t needed, capacity;
	char *data;

	if (__builtin_add_overflow(buffer->size, more, &needed) || needed > SIZE_MAX / 4)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (needed < buffer->capacity)
		return 0;
	capacity = needed + needed / 2 + 64;
	data = realloc(buffer->data, capacity);
	if (!data)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	buffer->data = data;
	buffer->capacity = capacity;
	return 0;
}

int byoh_buffer_add(struct byoh_buffer *buffer, const void *bytes, size_t size, struct byoh_error *err)
{
	int r = byoh_buffer_reserve(buffer, size, err);

	if (r < 0)
		return r;
	if (size)
		memcpy(buffer->data + buffer->size, bytes, size);
	buffer->size += size;
	buffer->data[buffer->size] = '\0';
	return 0;
}

int byoh_buffer_add_string(struct byoh_buffer *buffer, const char *text, struct byoh_error *err)
{
	return byoh_buffer_add(buffer, text, strlen(text), err);
}

int byoh_buffer_printf(struct byoh_buffer *buffer, struct byoh_error *err, const char *fmt, ...)
{
	va_list args;
	int length, r;

	va_start(args, fmt);
	length = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (length < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "cannot format text");
	r = byoh_buffer_reserve(buffer, (size_t)length, err);
	if (r < 0)
		return r;
	va_start(args, fmt);
	vsnprintf(buffer->data + buffer->size, (size_t)length + 1, fmt, args);
	va_end(args);
	buffer->size += (size_t)length;
	return 0;
}

static int add_little_endian(struct byoh_buffer *buffer, uint64_t value, size_t bytes,
			     struct byoh_error *err)
{
	unsigned char raw[8];

	for (size_t i = 0; i < bytes; i++)
		raw[i] = (unsigned char)(value >> (8 * i));
	return byoh_buffer_add(buffer, raw, bytes, err);
}

int byoh_buffer_add_u32(struct byoh_buffer *buffer, uint32_t value, struct byoh_error *err)
{
	return add_little_endian(buffer, value, 4, err);
}

int byoh_buffer_add_u64(struct byoh_buffer *buffer, uint64_t value, struct byoh_error *err)
{
	return add_little_endian(buffer, value, 8, err);
}

int byoh_buffer_add_zeros(struct byoh_buffer *buffer, size_t size, struct byoh_error *err)
{
	int r = byoh_buffer_reserve(buffer, size, err);

	if (r < 0)
		return r;
	memset(buffer->data + buffer->size, 0, size + 1);
	buffer->size += size;
	return 0;
}

const char *byoh_buffer_text(const struct byoh_buffer *buffer)
{
	return buffer->data ? buffer->data : "";
}
