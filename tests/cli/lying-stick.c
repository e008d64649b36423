/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stick that lies, as a file system: it has a capacity and forgets, or changes, what was written.
 *
 *   lying-stick MOUNTPOINT CAPACITY REAL [cached] [wrong OFFSET] [dead OFFSET] [second OFFSET]    sizes in bytes
 *
 * Blocks go to the medium in the order in which they are written, and begin anew at REAL, as in sticks whose firmware
 * claims more than there is. wrong: of each file the byte there comes back as another; dead: from there on reading
 * fails; second: from there on each byte comes back as it is once, and as another whenever it is read again. cached: without O_DIRECT, and the kernel may keep the pages. Returns when it is mounted.
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK ((size_t)4096)
#define MAX_FILES 16

struct file {
	char name[256];
	size_t size, block_count;
	size_t *blocks;
	unsigned char *seen; /* one a byte of the file: it has been read */
};

static struct file files[MAX_FILES];
static unsigned char *medium;
static size_t capacity, real, next_block;
static off_t wrong_at = -1, dead_at = -1, second_at = -1;
static bool cached;

static struct file *find(const char *path)
{
	for (size_t i = 0; i < MAX_FILES; i++)
		if (*files[i].name && strcmp(files[i].name, path + 1) == 0)
			return &files[i];
	return NULL;
}

static int get_attributes(const char *path, struct stat *ret, struct fuse_file_info *info)
{
	const struct file *file = find(path);

	(void)info;
	memset(ret, 0, sizeof(*ret));
	if (strcmp(path, "/") == 0) {
		ret->st_mode = S_IFDIR | 0755;
		ret->st_nlink = 2;
		return 0;
	}
	if (!file)
		return -ENOENT;
	ret->st_mode = S_IFREG | 0755;
	ret->st_nlink = 1;
	ret->st_size = (off_t)file->size;
	return 0;
}

static int list(const char *path, void *out, fuse_fill_dir_t add, off_t offset, struct fuse_file_info *info,
		enum fuse_readdir_flags flags)
{
	(void)path, (void)offset, (void)info, (void)flags;
	add(out, ".", NULL, 0, 0);
	add(out, "..", NULL, 0, 0);
	for (size_t i = 0; i < MAX_FILES; i++)
		if (*files[i].name)
			add(out, files[i].name, NULL, 0, 0);
	return 0;
}

static int open_file(const char *path, struct fuse_file_info *info)
{
	if (!find(path))
		return -ENOENT;
	if (cached && info->flags & O_DIRECT)
		return -EINVAL;
	info->direct_io = !cached;
	info->keep_cache = cached;
	return 0;
}

static int create(const char *path, mode_t mode, struct fuse_file_info *info)
{
	(void)mode;
	for (size_t i = 0; i < MAX_FILES; i++) {
		if (*files[i].name)
			continue;
		snprintf(files[i].name, sizeof(files[i].name), "%s", path + 1);
		return open_file(path, info);
	}
	return -ENOSPC;
}

static unsigned char *block_of(struct file *file, size_t number)
{
	while (number >= file->block_count) {
		size_t *grown = realloc(file->blocks, (file->block_count + 1) * sizeof(*grown));

		if (!grown)
			exit(1);
		file->blocks = grown;
		grown[file->block_count++] = next_block++ % (real / BLOCK);
	}
	return medium + file->blocks[number] * BLOCK;
}

static int write_file(const char *path, const char *bytes, size_t size, off_t offset, struct fuse_file_info *info)
{
	struct file *file = find(path);

	(void)info;
	if (!file)
		return -ENOENT;
	for (size_t i = 0; i < size; i++) {
		size_t at = (size_t)offset + i;

		block_of(file, at / BLOCK)[at % BLOCK] = (unsigned char)bytes[i];
	}
	if ((size_t)offset + size > file->size)
		file->size = (size_t)offset + size;
	return (int)size;
}

/* What to change in the byte. */
static unsigned char lie(struct file *file, size_t at)
{
	if ((off_t)at == wrong_at)
		return 1;
	if (second_at < 0 || (off_t)at < second_at)
		return 0;
	if (!file->seen)
		file->seen = calloc(1, file->size);
	if (!file->seen)
		exit(1);
	if (file->seen[at])
		return 1;
	file->seen[at] = 1;
	return 0;
}

static int read_file(const char *path, char *bytes, size_t size, off_t offset, struct fuse_file_info *info)
{
	struct file *file = find(path);

	(void)info;
	if (!file)
		return -ENOENT;
	if ((size_t)offset >= file->size)
		return 0;
	if (size > file->size - (size_t)offset)
		size = file->size - (size_t)offset;
	if (dead_at >= 0 && offset + (off_t)size > dead_at)
		return -EIO;
	for (size_t i = 0; i < size; i++) {
		size_t at = (size_t)offset + i;

		bytes[i] = (char)(block_of(file, at / BLOCK)[at % BLOCK] ^ lie(file, at));
	}
	return (int)size;
}

static int remove_file(const char *path)
{
	struct file *file = find(path);

	if (!file)
		return -ENOENT;
	free(file->blocks);
	free(file->seen);
	memset(file, 0, sizeof(*file));
	return 0;
}

static int rename_file(const char *path, const char *to, unsigned int flags)
{
	struct file *file = find(path);

	if (!file)
		return -ENOENT;
	if (flags)
		return -EINVAL;
	remove_file(to);
	snprintf(file->name, sizeof(file->name), "%s", to + 1);
	return 0;
}

static int tell_room(const char *path, struct statvfs *ret)
{
	size_t used = 0;

	(void)path;
	for (size_t i = 0; i < MAX_FILES; i++)
		used += files[i].block_count;
	memset(ret, 0, sizeof(*ret));
	ret->f_bsize = ret->f_frsize = BLOCK;
	ret->f_blocks = capacity / BLOCK;
	ret->f_bfree = ret->f_bavail = used < capacity / BLOCK ? capacity / BLOCK - used : 0;
	ret->f_namemax = 255;
	return 0;
}

static int sync_file(const char *path, int only_data, struct fuse_file_info *info)
{
	(void)path, (void)only_data, (void)info;
	return 0;
}

static const struct fuse_operations operations = {
	.getattr = get_attributes, .readdir = list, .open = open_file, .create = create, .read = read_file,
	.write = write_file, .unlink = remove_file, .rename = rename_file, .statfs = tell_room, .fsync = sync_file,
	.fsyncdir = sync_file,
};

int main(int argc, char **argv)
{
	char single[] = "-s";
	char *arguments[] = { argv[0], argv[1], single, NULL };

	if (argc < 4)
		return 2;
	capacity = strtoull(argv[2], NULL, 10);
	real = strtoull(argv[3], NULL, 10) / BLOCK * BLOCK;
	for (int i = 4; i < argc; i++) {
		cached = cached || strcmp(argv[i], "cached") == 0;
		if (strcmp(argv[i], "wrong") == 0 && i + 1 < argc)
			wrong_at = strtoll(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "dead") == 0 && i + 1 < argc)
			dead_at = strtoll(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "second") == 0 && i + 1 < argc)
			second_at = strtoll(argv[++i], NULL, 10);
	}
	medium = calloc(1, real);
	return medium ? fuse_main(3, arguments, &operations, NULL) : 1;
}
