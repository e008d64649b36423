/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/bundle-fixture.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/executable.h"
#include "bundle/tree-private.h"

#define STUB_SIZE 5000 /* no multiple of 4096: there is a gap behind it */

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "fixture: %s\n", what);
	abort();
}

#define REQUIRE(condition) require(condition, #condition)
#define SUCCEED(call) require((call) == 0, #call)

char *packer_path(const struct packer *packer, const char *name)
{
	char *path = NULL;

	REQUIRE(asprintf(&path, "%s/%s", packer->folder, name) > 0);
	return path;
}

void packer_start(struct packer *packer)
{
	static char name[] = "demo", version[] = "1.0", arch[] = "amd64";
	const char *parent = getenv("TMPDIR");
	char *scratch;

	*packer = (struct packer){
		.identity = { .name = name, .version = version, .arch = arch, .epoch = 1, .built = 1000 },
	};
	REQUIRE(asprintf(&packer->folder, "%s/byoh-bundle-XXXXXX", parent ? parent : "/tmp") > 0);
	REQUIRE(mkdtemp(packer->folder) != NULL);
	packer->tree = calloc(1, sizeof(*packer->tree));
	REQUIRE(packer->tree != NULL);
	scratch = packer_path(packer, "scratch");
	REQUIRE(mkdir(scratch, 0700) == 0);
	packer->pack = (struct byoh_pack){
		.tree = packer->tree, .identity = &packer->identity, .scratch_directory = scratch,
		.level = 1, .threads = 2,
	};
}

void packer_end(struct packer *packer)
{
	CLEANUP_FD int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	SUCCEED(byoh_remove_tree(top, packer->folder, NULL));
	free((void *)(uintptr_t)packer->pack.scratch_directory);
	free(packer->folder);
	byoh_tree_free(packer->tree);
	byoh_buffer_release(&packer->executable);
}

static void write_source(const char *path, const void *bytes, size_t size)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	REQUIRE(fd >= 0);
	SUCCEED(byoh_write_all(fd, bytes, size, NULL));
}

void packer_add_file(struct packer *packer, const char *path, mode_t mode, const void *bytes, size_t size)
{
	char name[32];
	CLEANUP_FREE char *source = NULL;

	snprintf(name, sizeof(name), "source-%zu", packer->sources++);
	source = packer_path(packer, name);
	write_source(source, bytes, size);
	SUCCEED(byoh_tree_add_file(packer->tree, path, mode, source, NULL));
}

void packer_add_other(struct packer *packer, const char *path, enum byoh_file_type type, mode_t mode,
		      const char *target)
{
	struct byoh_tree_entry entry = { .path = strdup(path), .target = target ? strdup(target) : NULL,
					 .type = type, .mode = mode };

	SUCCEED(byoh_tree_put(packer->tree, &entry, NULL));
}

void packer_finish(struct packer *packer)
{
	SUCCEED(byoh_tree_finish(packer->tree, NULL));
}

/* A header, one segment, and the note; what follows is no code and is never run. */
void packer_add_executable(struct packer *packer)
{
	const Elf64_Phdr segment = { .p_type = PT_NOTE, .p_offset = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
				     .p_filesz = 28 };
	const Elf64_Ehdr header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
						 ELFDATA2LSB },
				    .e_phoff = sizeof(header), .e_phentsize = sizeof(segment), .e_phnum = 1 };
	const uint32_t note[] = { sizeof(BYOH_NOTE_OWNER), 8, BYOH_NOTE_TYPE };
	CLEANUP_FREE char *path = packer_path(packer, "stub");
	unsigned char stub[STUB_SIZE];
	uint64_t join;

	fill_with_noise(stub, sizeof(stub), 99);
	memcpy(stub, &header, sizeof(header));
	memcpy(stub + header.e_phoff, &segment, sizeof(segment));
	memset(stub + segment.p_offset, 0, segment.p_filesz);
	memcpy(stub + segment.p_offset, note, sizeof(note));
	memcpy(stub + segment.p_offset + sizeof(note), BYOH_NOTE_OWNER, sizeof(BYOH_NOTE_OWNER));
	write_source(path, stub, sizeof(stub));
	SUCCEED(byoh_executable_prepare(path, &packer->executable, &join, NULL));
	packer_add_file(packer, BYOH_EXECUTABLE_PATH, 0755, packer->executable.data,
			packer->executable.size);
	packer->pack.executable = &packer->executable;
	packer->pack.join = true;
}

void fill_with_noise(unsigned char *bytes, size_t size, uint32_t seed)
{
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		bytes[i] = (unsigned char)(x >> 11);
	}
}
