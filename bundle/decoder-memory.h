/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for zstd's decoders. A window of 128 MiB on small pages is 32768 page faults before the first byte is
 * on disk, a tenth of an installation; on huge pages, where the kernel has them, it is 64.
 */
#ifndef BYOH_BUNDLE_DECODER_MEMORY_H
#define BYOH_BUNDLE_DECODER_MEMORY_H

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

extern const ZSTD_customMem byoh_decoder_memory;

#endif
