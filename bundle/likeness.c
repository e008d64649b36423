/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/likeness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"

#define READ_SIZE ((size_t)1 << 20)
#define SAMPLE_MASK UINT64_C(0xfff0000000000000) /* 12 bits: one position in 4096 */

struct byoh_likeness {
	size_t count, capacity;
	uint64_t *samples; /* sorted and distinct once read */
};

/* splitmix64, a public-domain mixing function: spreads a byte or a hash over 64 bits. */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

void byoh_likeness_free(struct byoh_likeness *likeness)
{
	if (!likeness)
		return;
	free(likeness->samples);
	free(likeness);
}

static int add_sample(struct byoh_likeness *likeness, uint64_t sample)
{
	uint64_t *grown;

	if (likeness->count == likeness->capacity) {
		size_t capacity = likeness->capacity ? 2 * likeness->capacity : 1024;

		grown = reallocarray(likeness->samples, capacity, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		likeness->samples = grown;
		likeness->capacity = capacity;
	}
	likeness->samples[likeness->count++] = sample;
	return 0;
}

/* A gear hash: each byte shifts the window by one bit, so the hash depends on the last 64 bytes alone
 * and equal content gives equal samples wherever it lies. */
static int sample_bytes(struct byoh_likeness *likeness, const uint64_t gear[256], const unsigned char *bytes,
			size_t size, uint64_t *hash)
{
	uint64_t h = *hash;

	for (size_t i = 0; i < size; i++) {
		h = (h << 1) + gear[bytes[i]];
		if (!(h & SAMPLE_MASK) && add_sample(likeness, mix(h)) < 0)
			return -ENOMEM;
	}
	*hash = h;
	return 0;
}

static int compare_samples(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void sort_distinct(struct byoh_likeness *likeness)
{
	size_t kept = 0;

	if (!likeness->count)
		return;
	qsort(likeness->samples, likeness->count, sizeof(*likeness->samples), compare_samples);
	for (size_t i = 1; i < likeness->count; i++)
		if (likeness->samples[i] != likeness->samples[kept])
			likeness->samples[++kept] = likeness->samples[i];
	likeness->count = kept + 1;
}

static void fill_gear(uint64_t gear[256])
{
	for (size_t i = 0; i < 256; i++)
		gear[i] = mix(i);
}

static int sample_file(struct byoh_likeness *likeness, int fd, struct byoh_error *err)
{
	CLEANUP_FREE unsigned char *bytes = malloc(READ_SIZE);
	uint64_t gear[256], hash = 0;
	ssize_t n;

	fill_gear(gear);
	if (!bytes)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	while ((n = read(fd, bytes, READ_SIZE)) > 0)
		if (sample_bytes(likeness, gear, bytes, (size_t)n, &hash) < 0)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (n < 0)
		return byoh_fail_errno(err, "cannot read");
	sort_distinct(likeness);
	return 0;
}

int byoh_likeness_of_file(const char *path, struct byoh_likeness **ret, struct byoh_error *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct byoh_likeness *likeness;
	int r;

	if (fd < 0)
		return byoh_fail_errno(err, "cannot open %s", path);
	likeness = calloc(1, sizeof(*likeness));
	if (!likeness)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = sample_file(likeness, fd, err);
	if (r < 0) {
		byoh_likeness_free(likeness);
		return byoh_error_wrap(err, r, "%s", path);
	}
	*ret = likeness;
	return 0;
}

int byoh_likeness_of_bytes(const void *bytes, size_t size, struct byoh_likeness **ret, struct byoh_error *err)
{
	struct byoh_likeness *likeness = calloc(1, sizeof(*likeness));
	uint64_t gear[256], hash = 0;

	fill_gear(gear);
	if (!likeness || sample_bytes(likeness, gear, bytes, size, &hash) < 0) {
		byoh_likeness_free(likeness);
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	sort_distinct(likeness);
	*ret = likeness;
	return 0;
}

double byoh_likeness_compare(const struct byoh_likeness *a, const struct byoh_likeness *b)
{
	size_t i = 0, k = 0, common = 0;
	size_t smaller = a->count < b->count ? a->count : b->count;

	while (i < a->count && k < b->count) {
		if (a->samples[i] == b->samples[k]) {
			common++;
			i++;
			k++;
		} else if (a->samples[i] < b->samples[k]) {
			i++;
		} else {
			k++;
		}
	}
	return smaller ? (double)common / (double)smaller : 0;
}

int byoh_likeness_join(struct byoh_likeness *into, const struct byoh_likeness *from, struct byoh_error *err)
{
	for (size_t i = 0; i < from->count; i++)
		if (add_sample(into, from->samples[i]) < 0)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	sort_distinct(into);
	return 0;
}
