/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set_message(struct byoh_error *err, enum byoh_error_kind kind, int errnum,
			const char *fmt, va_list args)
{
	err->kind = kind;
	err->errnum = errnum;
	vsnprintf(err->message, sizeof(err->message), fmt, args);
}

static void append(struct byoh_error *err, const char *separator, const char *text)
{
	size_t used = strlen(err->message);

	snprintf(err->message + used, sizeof(err->message) - used, "%s%s", separator, text);
}

int byoh_fail(struct byoh_error *err, enum byoh_error_kind kind, int errnum, const char *fmt, ...)
{
	va_list args;

	if (err) {
		va_start(args, fmt);
		set_message(err, kind, errnum, fmt, args);
		va_end(args);
	}
	return errnum ? -errnum : -EINVAL;
}

int byoh_fail_errno(struct byoh_error *err, const char *fmt, ...)
{
	int errnum = errno ? errno : EIO;
	va_list args;

	if (err) {
		va_start(args, fmt);
		set_message(err, BYOH_ERROR_SYSTEM, errnum, fmt, args);
		va_end(args);
		append(err, ": ", strerror(errnum));
	}
	return -errnum;
}

int byoh_error_wrap(struct byoh_error *err, int rc, const char *fmt, ...)
{
	char inner[sizeof(err->message)];
	va_list args;

	if (!err)
		return rc;
	memcpy(inner, err->message, sizeof(inner));
	va_start(args, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	append(err, ": ", inner);
	return rc;
}

void byoh_error_remedy(struct byoh_error *err, const char *fmt, ...)
{
	char remedy[512];
	va_list args;

	if (!err)
		return;
	va_start(args, fmt);
	vsnprintf(remedy, sizeof(remedy), fmt, args);
	va_end(args);
	append(err, "; ", remedy);
}

void byoh_make_printable(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++) {
		if (*p == '\n' || *p == '\r' || *p == '\t')
			*p = ' ';
		else if (*p < 0x20 || *p == 0x7f)
			*p = '?';
		else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) /* U+0080 to U+009F in UTF-8 */
			p[0] = p[1] = '?';
	}
}

int byoh_error_exit_code(const struct byoh_error *err)
{
	switch (err->kind) {
	case BYOH_ERROR_NONE:
		return 0;
	case BYOH_ERROR_USAGE:
	case BYOH_ERROR_CONFIG:
		return 2;
	case BYOH_ERROR_FORMAT:
	case BYOH_ERROR_TRUST:
		return 3;
	case BYOH_ERROR_PREFLIGHT:
		return 4;
	case BYOH_ERROR_MEDIUM:
		return 5;
	case BYOH_ERROR_UNRESTORED:
		return 6;
	case BYOH_ERROR_SYSTEM:
	case BYOH_ERROR_INTERRUPTED:
		break;
	}
	return 1;
}
