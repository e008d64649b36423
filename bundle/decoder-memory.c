/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/decoder-memory.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define LARGE ((size_t)4 << 20)

/* In front of what zstd gets, since it does not tell the size when it gives back. */
union head {
	size_t mapped; /* 0: from malloc */
	max_align_t alignment;
};

static void *take(void *opaque, size_t size)
{
	union head *head;

	(void)opaque;
	if (size > SIZE_MAX - sizeof(*head))
		return NULL;
	size += sizeof(*head);
	if (size < LARGE) {
		head = malloc(size);
	} else {
		head = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		head = head == MAP_FAILED ? NULL : head;
	}
	if (!head)
		return NULL;
	head->mapped = size < LARGE ? 0 : size;
	if (head->mapped)
		(void)madvise(head, size, MADV_HUGEPAGE); /* a wish: small pages serve as well, only slower */
	return head + 1;
}

static void give_back(void *opaque, void *address)
{
	union head *head = address;

	(void)opaque;
	if (!head)
		return;
	head--;
	if (head->mapped)
		munmap(head, head->mapped);
	else
		free(head);
}

const ZSTD_customMem byoh_decoder_memory = { take, give_back, NULL };
