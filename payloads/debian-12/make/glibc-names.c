/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debian's static libraries are compiled against glibc with its checked variants of printf. musl has none
 * of those names; everything else the two archives ask for is the same in both.
 */
#include <stdarg.h>
#include <stdio.h>

int __fprintf_chk(FILE *stream, int flag, const char *format, ...);
int __snprintf_chk(char *buffer, size_t size, int flag, size_t object, const char *format, ...);

int __fprintf_chk(FILE *stream, int flag, const char *format, ...)
{
	va_list arguments;
	int length;

	(void)flag;
	va_start(arguments, format);
	length = vfprintf(stream, format, arguments);
	va_end(arguments);
	return length;
}

int __snprintf_chk(char *buffer, size_t size, int flag, size_t object, const char *format, ...)
{
	va_list arguments;
	int length;

	(void)flag;
	/* What the checked variant is for: a size that lies about its buffer. */
	if (size > object)
		__builtin_trap();
	va_start(arguments, format);
	length = vsnprintf(buffer, size, format, arguments);
	va_end(arguments);
	return length;
}
