/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The room that a boot image keeps for its site's configuration: a file of 64 KiB, /byoh/site.img, which is written in
 * place. All zero: none. Else a line "BYOHCFG1 LENGTH SHA256\n" (decimal; 64 lower-case hexadecimal digits), the text,
 * zeros. Pure.
 */
#ifndef BYOH_BUNDLE_SITE_SLOT_H
#define BYOH_BUNDLE_SITE_SLOT_H

#include <stddef.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

#define BYOH_SITE_SLOT_SIZE ((size_t)64 << 10)
#define BYOH_SITE_SLOT_HEAD_MAX ((size_t)96)
#define BYOH_SITE_SLOT_TEXT_MAX (BYOH_SITE_SLOT_SIZE - BYOH_SITE_SLOT_HEAD_MAX)

/* The text in slot, appended to ret; nothing where it is empty. Anything else than a whole slot is BYOH_ERROR_FORMAT. The
 * text may be a secret. */
BYOH_MUST_CHECK int byoh_site_slot_read(const void *slot, size_t size, struct byoh_buffer *ret, struct byoh_error *err);
/* The slot for a text; NULL or an empty one make it empty. BYOH_ERROR_CONFIG where it has not room for it. */
BYOH_MUST_CHECK int byoh_site_slot_write(const char *text, size_t size, struct byoh_buffer *ret, struct byoh_error *err);

#endif
