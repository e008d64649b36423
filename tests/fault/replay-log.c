/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a disk may hold after the power went: from the disk as it was, the log of all writes to it, and a
 * moment. The log is the one of dm-log-writes (drivers/md/dm-log-writes.c in Linux), as QEMU's blklogwrites
 * writes it: a sector with the superblock; then for each write a sector that describes it, and its data.
 *
 * Everything before the last flush is on the disk. Of the writes since then a disk keeps what it likes:
 * none, all, or some of them in an order of its own, the last one perhaps in part.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MAGIC 0x6a736677736872ULL
#define LOG_VERSION 1
#define SECTOR ((uint64_t)512) /* the only size that we let QEMU write */
#define PAGE ((uint64_t)4096)
#define LAST_FLUSHES 4
#define FROM_BASE 0 /* sector 0 of a log is never data */

enum { FLAG_FLUSH = 1, FLAG_FUA = 2, FLAG_DISCARD = 4, FLAG_MARK = 8 };

struct super {
	uint64_t magic, version, entry_count;
	uint32_t sector_size;
} __attribute__((packed));

struct described {
	uint64_t sector, sector_count, flags, data_length;
} __attribute__((packed));

struct entry {
	uint64_t sector, sector_count, flags;
	uint64_t data; /* sector in the log */
};

struct log {
	const unsigned char *bytes;
	uint64_t size;
	struct entry *entries;
	uint64_t count;
};

struct random {
	uint64_t state;
};

/* An image as a whole: sources[sector] is the log's sector that it comes from. */
struct disk {
	const unsigned char *base;
	int base_fd;
	uint64_t size;
	uint32_t *sources;
};

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("replay-log: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* splitmix64 (S. Vigna, public domain): the same numbers from the same seed everywhere. */
static uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static uint64_t random_below(struct random *random, uint64_t limit)
{
	return limit ? random_next(random) % limit : 0;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || end == text)
		die("%s is no number", text);
	return value;
}

static void *map(const char *path, int flags, int *ret_fd, uint64_t *ret_size)
{
	int fd = open(path, flags | O_CLOEXEC);
	struct stat st;
	void *bytes;

	if (fd < 0 || fstat(fd, &st) < 0)
		die("%s: %s", path, strerror(errno));
	bytes = mmap(NULL, (size_t)st.st_size, flags == O_RDWR ? PROT_READ | PROT_WRITE : PROT_READ,
		     MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		die("%s: %s", path, strerror(errno));
	*ret_size = (uint64_t)st.st_size;
	if (ret_fd)
		*ret_fd = fd;
	else
		close(fd);
	return bytes;
}

static void log_add(struct log *log, uint64_t index, uint64_t *at)
{
	struct described described;
	struct entry *entry = &log->entries[index];

	if (*at * SECTOR + SECTOR > log->size)
		die("entry %" PRIu64 " is behind the end of the log", index);
	memcpy(&described, log->bytes + *at * SECTOR, sizeof(described));
	*entry = (struct entry){ .sector = le64toh(described.sector),
				 .sector_count = le64toh(described.sector_count),
				 .flags = le64toh(described.flags),
				 .data = *at + 1 };
	if (entry->flags & (FLAG_DISCARD | FLAG_MARK))
		die("entry %" PRIu64 ": discards and marks are not expected", index);
	*at += 1;
	if (entry->sector_count > log->size / SECTOR - *at)
		die("entry %" PRIu64 " ends behind the end of the log", index);
	*at += entry->sector_count;
}

/* The superblock counts the entries up to the last flush; what stands behind it is not looked at. */
static void log_open(struct log *log, const char *path)
{
	struct super super;
	uint64_t at = 1;

	log->bytes = map(path, O_RDONLY, NULL, &log->size);
	if (log->size < SECTOR)
		die("%s is no log", path);
	memcpy(&super, log->bytes, sizeof(super));
	if (le64toh(super.magic) != LOG_MAGIC || le64toh(super.version) != LOG_VERSION ||
	    le32toh(super.sector_size) != SECTOR)
		die("%s is no log with sectors of %" PRIu64 " bytes", path, SECTOR);
	log->count = le64toh(super.entry_count);
	log->entries = calloc(log->count + 1, sizeof(*log->entries));
	if (!log->entries)
		die("out of memory");
	for (uint64_t i = 0; i < log->count; i++)
		log_add(log, i, &at);
}

/* The first entry that is not surely on the disk at that moment: all before it were flushed. */
static uint64_t log_durable(const struct log *log, uint64_t moment)
{
	for (uint64_t i = moment; i > 0; i--)
		if (log->entries[i - 1].flags & FLAG_FLUSH)
			return i - 1;
	return 0;
}

static void disk_write(struct disk *disk, const struct entry *entry, uint64_t sector_count)
{
	if (entry->sector + sector_count > disk->size / SECTOR)
		die("a write behind the end of the disk");
	for (uint64_t i = 0; i < sector_count; i++)
		disk->sources[entry->sector + i] = (uint32_t)(entry->data + i);
}

/* A coin of the moment's own weight for each write, then an order of the disk's own. */
static uint64_t choose_some(const struct log *log, uint64_t from, uint64_t to, struct random *random,
			    uint64_t *chosen)
{
	uint64_t weight = 1 + random_below(random, 99), count = 0;

	for (uint64_t i = from; i < to; i++)
		if (log->entries[i].sector_count && !(log->entries[i].flags & FLAG_FUA) &&
		    random_below(random, 100) < weight)
			chosen[count++] = i;
	for (uint64_t i = count; i > 1; i--) {
		uint64_t j = random_below(random, i), kept = chosen[i - 1];

		chosen[i - 1] = chosen[j];
		chosen[j] = kept;
	}
	return count;
}

static void write_some(struct disk *disk, const struct log *log, uint64_t from, uint64_t to, uint64_t seed)
{
	struct random random = { seed };
	uint64_t *chosen = calloc(to - from + 1, sizeof(*chosen));
	uint64_t count;

	if (!chosen)
		die("out of memory");
	count = choose_some(log, from, to, &random, chosen);
	for (uint64_t i = 0; i < count; i++) {
		const struct entry *entry = &log->entries[chosen[i]];
		bool torn = i + 1 == count && random_below(&random, 2);

		disk_write(disk, entry, torn ? random_below(&random, entry->sector_count) :
					       entry->sector_count);
	}
	free(chosen);
}

static void disk_replay(struct disk *disk, const struct log *log, uint64_t moment, const char *choice,
			uint64_t seed)
{
	uint64_t durable = log_durable(log, moment);
	bool all = strcmp(choice, "all") == 0;

	for (uint64_t i = 0; i < (all ? moment : durable); i++)
		disk_write(disk, &log->entries[i], log->entries[i].sector_count);
	if (strcmp(choice, "some") == 0)
		write_some(disk, log, durable, moment, seed);
	else if (!all && strcmp(choice, "none") != 0)
		die("%s is neither none, all nor some", choice);
	for (uint64_t i = durable; i < moment; i++)
		if (log->entries[i].flags & FLAG_FUA)
			disk_write(disk, &log->entries[i], log->entries[i].sector_count);
}

static const unsigned char *disk_sector(const struct disk *disk, const struct log *log, uint64_t sector)
{
	uint32_t source = disk->sources[sector];

	return source == FROM_BASE ? disk->base + sector * SECTOR : log->bytes + source * SECTOR;
}

/* Writes only what differs, so that bringing an image from one moment to another is quick, whoever wrote
 * into it in between. */
static void bring_page(const struct disk *disk, const struct log *log, unsigned char *image, uint64_t page)
{
	for (uint64_t i = 0; i < PAGE / SECTOR; i++) {
		uint64_t sector = page * (PAGE / SECTOR) + i;
		const unsigned char *wanted = disk_sector(disk, log, sector);

		if (memcmp(image + sector * SECTOR, wanted, SECTOR) != 0)
			memcpy(image + sector * SECTOR, wanted, SECTOR);
	}
}

/* Marks the pages that are no hole. */
static void mark_data(int fd, uint64_t size, unsigned char *pages)
{
	off_t start = 0, end;

	while ((start = lseek(fd, start, SEEK_DATA)) >= 0) {
		end = lseek(fd, start, SEEK_HOLE);
		if (end < 0)
			die("cannot find holes: %s", strerror(errno));
		for (uint64_t page = (uint64_t)start / PAGE; page * PAGE < (uint64_t)end; page++)
			pages[page] = 1;
		start = end;
	}
	if (errno != ENXIO)
		die("cannot find data in a file of %" PRIu64 " bytes: %s", size, strerror(errno));
}

static void bring_image(const struct disk *disk, const struct log *log, const char *path)
{
	uint64_t page_count = disk->size / PAGE, size;
	unsigned char *pages = calloc(page_count, 1), *image;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)disk->size) < 0)
		die("%s: %s", path, strerror(errno));
	close(fd);
	image = map(path, O_RDWR, &fd, &size);
	if (!pages)
		die("out of memory");
	mark_data(fd, size, pages);
	mark_data(disk->base_fd, size, pages);
	for (uint64_t sector = 0; sector < disk->size / SECTOR; sector++)
		if (disk->sources[sector] != FROM_BASE)
			pages[sector * SECTOR / PAGE] = 1;
	for (uint64_t page = 0; page < page_count; page++)
		if (pages[page])
			bring_page(disk, log, image, page);
	free(pages);
	munmap(image, size);
	close(fd);
}

static void verb_image(char **args)
{
	struct log log;
	struct disk disk;
	uint64_t moment = number(args[3]);

	log_open(&log, args[1]);
	if (moment > log.count)
		die("the log has %" PRIu64 " entries", log.count);
	disk.base = map(args[0], O_RDONLY, &disk.base_fd, &disk.size);
	if (disk.size % PAGE)
		die("%s is no whole number of pages", args[0]);
	/* Untouched pages of it cost nothing. */
	disk.sources = calloc(disk.size / SECTOR, sizeof(*disk.sources));
	if (!disk.sources)
		die("out of memory");
	disk_replay(&disk, &log, moment, args[4], number(args[5]));
	bring_image(&disk, &log, args[2]);
}

static void verb_count(char **args)
{
	struct log log;

	log_open(&log, args[0]);
	printf("%" PRIu64 "\n", log.count);
}

struct moment {
	uint64_t entry, seed;
	const char *choice;
};

static int compare_moments(const void *a, const void *b)
{
	const struct moment *left = a, *right = b;

	return left->entry < right->entry ? -1 : left->entry > right->entry;
}

/* Writes crowd where files are unpacked, flushes where names change: half of the moments by each. The end,
 * with the commit in it, is short, and gets some of its own. */
static uint64_t choose_entry(uint64_t from, uint64_t to, const uint64_t *flushes, uint64_t flush_count,
			     struct random *random)
{
	uint64_t kind = random_below(random, 8), first = 0, i, end;

	if (kind < 4 || flush_count == 0)
		return from + random_below(random, to - from + 1);
	if (kind == 7 && flush_count > LAST_FLUSHES)
		first = flush_count - LAST_FLUSHES;
	i = first + random_below(random, flush_count - first);
	end = i + 1 < flush_count ? flushes[i + 1] : to;
	return flushes[i] + random_below(random, end - flushes[i] + 1);
}

static void verb_moments(char **args)
{
	static const char *const choices[] = { "none", "all", "some", "some" };
	struct log log;
	struct random random = { number(args[4]) };
	uint64_t from = number(args[1]), to = number(args[2]), count = number(args[3]);
	uint64_t *flushes, flush_count = 0;
	struct moment *moments = calloc(count + 1, sizeof(*moments));

	log_open(&log, args[0]);
	flushes = calloc(log.count + 1, sizeof(*flushes));
	if (!moments || !flushes || from >= to || to > log.count)
		die("no moments from %s to %s", args[1], args[2]);
	for (uint64_t i = from; i < to; i++)
		if (log.entries[i].flags & FLAG_FLUSH)
			flushes[flush_count++] = i;
	for (uint64_t i = 0; i < count; i++) {
		moments[i].entry = choose_entry(from, to, flushes, flush_count, &random);
		moments[i].choice = choices[random_below(&random, 4)];
		moments[i].seed = random_next(&random);
	}
	/* Whatever the seed, the command has ended once. */
	if (count)
		moments[count - 1].entry = to;
	qsort(moments, count, sizeof(*moments), compare_moments);
	for (uint64_t i = 0; i < count; i++)
		printf("%" PRIu64 " %s %" PRIu64 "\n", moments[i].entry, moments[i].choice,
		       moments[i].seed);
}

static const struct {
	const char *name;
	int arg_count;
	void (*run)(char **args);
	const char *usage;
} verbs[] = {
	{ "count", 1, verb_count, "LOG: how many entries it has" },
	{ "moments", 5, verb_moments, "LOG FROM TO COUNT SEED: lines `MOMENT CHOICE SEED`, in order" },
	{ "image", 6, verb_image,
	  "BASE LOG IMAGE MOMENT none|all|some SEED: makes the image, or brings an old one there" },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (argc == 2 + verbs[i].arg_count && strcmp(argv[1], verbs[i].name) == 0) {
			verbs[i].run(argv + 2);
			return fflush(stdout) ? 1 : 0;
		}
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(stderr, "replay-log %s %s\n", verbs[i].name, verbs[i].usage);
	return 2;
}
