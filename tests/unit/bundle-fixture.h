/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bundles that tests are made of: packed as a publisher packs them, or forged as none would: signed,
 * every digest right, and yet not what the format allows. Everything here aborts when it fails.
 */
#ifndef BYOH_TESTS_BUNDLE_FIXTURE_H
#define BYOH_TESTS_BUNDLE_FIXTURE_H

#include "bundle/pack.h"
#include "bundle/superblock.h"

/* A tree with its sources in a folder of its own. */
struct packer {
	char *folder;
	struct byoh_tree *tree;
	struct byoh_buffer executable; /* empty until packer_add_executable */
	struct byoh_manifest identity;
	struct byoh_pack pack; /* complete but for the key */
	size_t sources;
};

void packer_start(struct packer *packer);
void packer_end(struct packer *packer);
void packer_add_file(struct packer *packer, const char *path, mode_t mode, const void *bytes, size_t size);
void packer_add_other(struct packer *packer, const char *path, enum byoh_file_type type, mode_t mode,
		      const char *target);
/* A small ELF file with the note, in front of the bundle and inside of it. */
void packer_add_executable(struct packer *packer);
/* Parents, order. */
void packer_finish(struct packer *packer);
/* folder/name; the caller frees it. */
char *packer_path(const struct packer *packer, const char *name);
/* Bytes that do not compress, the same for the same seed. */
void fill_with_noise(unsigned char *bytes, size_t size, uint32_t seed);

#define FORGED_FILES 8
#define FORGED_FRAMES 4
#define FORGED_BLOCKS 16
#define FORGED_FIRST_SIZE ((size_t)9000)  /* bytes of the first frame: a/f lies in it, a/g begins in it */
#define FORGED_SECOND_SIZE ((size_t)5000) /* and ends in the second */

/* Starts good: two frames; the folder "a" with the files "f" and "g" and a link "l" to f. */
struct forgery {
	unsigned char plain[FORGED_FIRST_SIZE + FORGED_SECOND_SIZE];
	struct byoh_buffer stored[FORGED_FRAMES];
	struct byoh_index index; /* points into what follows */
	struct byoh_file files[FORGED_FILES];
	struct byoh_frame frames[FORGED_FRAMES]; /* bounds and blocks are set when it is written */
	struct byoh_digest blocks[FORGED_BLOCKS];
	struct byoh_base_extent extent;
	struct byoh_superblock superblock;	/* lengths likewise */
	struct byoh_manifest manifest;		/* lengths, digests and window likewise */
	const char *more;			/* text that is put into the manifest before its last brace */
	uint32_t format_version, index_version;
	unsigned int signatures;		/* 1; 0: none; more: by fresh keys */
	bool lie_about_window, lie_about_index, break_signature;
	const unsigned char *wrong_block;	/* NULL, or the digest that the first block gets */
};

void forgery_start(struct forgery *forgery);
void forgery_end(struct forgery *forgery);
/* Appends one zstd frame that holds bytes. */
void forgery_compress(const void *bytes, size_t size, unsigned int window_log, bool checksum,
		      struct byoh_buffer *ret);
/* The whole bundle appended to ret, signed by key. */
void forgery_write(struct forgery *forgery, const struct byoh_private_key *key, struct byoh_buffer *ret);

/* Every way of being hostile that has a name; the first, "good", is none. */
struct hostility {
	const char *name;
	void (*apply)(struct forgery *forgery);
	bool late; /* only the payload tells: a reader has to unpack it to see */
};
extern const struct hostility hostilities[];
extern const size_t hostility_count;

#endif
