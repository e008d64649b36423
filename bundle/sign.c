/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/superblock.h"

#define COPY_SIZE ((size_t)1 << 20)

struct signing {
	const struct byoh_bundle *bundle;
	const char *path;
	const struct byoh_signature *signature;
	const struct byoh_progress *progress;
	int fd; /* of path */
	struct stat st;
};

static bool has_signed(const struct byoh_bundle *bundle, const struct byoh_public_key *key)
{
	size_t count;
	const struct byoh_signature *signatures = byoh_bundle_signatures(bundle, &count);

	for (size_t i = 0; i < count; i++)
		if (memcmp(signatures[i].key.bytes, key->bytes, sizeof(key->bytes)) == 0)
			return true;
	return false;
}

static int replaced(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, EBUSY, "it was replaced meanwhile; sign it again");
}

/* Two that sign at the same time would each keep only its own signature: the second finds the lock, or another
 * area than it has read. */
static int take_file(struct signing *signing, struct byoh_error *err)
{
	size_t count;
	const struct byoh_signature *signatures = byoh_bundle_signatures(signing->bundle, &count);
	CLEANUP_BUFFER struct byoh_buffer area = { 0 };
	char found[BYOH_SIGNATURES_SIZE];

	signing->fd = open(signing->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (signing->fd < 0 || fstat(signing->fd, &signing->st) < 0)
		return byoh_fail_errno(err, "cannot open it again");
	if (flock(signing->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return byoh_fail_errno(err, "another run is signing it");
	TRY(byoh_signatures_write(signatures, count, &area, err));
	TRY(byoh_pread_all(signing->fd, found, sizeof(found),
			   byoh_bundle_offset(signing->bundle) + BYOH_SUPERBLOCK_SIZE, err));
	return memcmp(found, area.data, sizeof(found)) ? replaced(err) : 0;
}

static int check_still_there(const struct signing *signing, struct byoh_error *err)
{
	struct stat st;

	if (stat(signing->path, &st) < 0)
		return byoh_fail_errno(err, "cannot look at it again");
	return st.st_dev == signing->st.st_dev && st.st_ino == signing->st.st_ino ? 0 : replaced(err);
}

static int copy_bytes(const struct signing *signing, int out, struct byoh_error *err)
{
	CLEANUP_FREE char *bytes = malloc(COPY_SIZE);
	uint64_t end = (uint64_t)signing->st.st_size;
	int r = bytes ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");

	for (uint64_t at = 0; at < end && r == 0; at += COPY_SIZE) {
		size_t size = end - at < COPY_SIZE ? (size_t)(end - at) : COPY_SIZE;

		r = byoh_pread_all(signing->fd, bytes, size, at, err);
		if (r == 0)
			r = byoh_write_all(out, bytes, size, err);
	}
	return r;
}

/* What the publisher's file system can share costs neither time nor room. */
static int copy(const struct signing *signing, int out, struct byoh_error *err)
{
	if (ioctl(out, FICLONE, signing->fd) < 0)
		TRY(copy_bytes(signing, out, err));
	if (fchown(out, signing->st.st_uid, signing->st.st_gid) < 0 && geteuid() == 0)
		return byoh_fail_errno(err, "cannot keep the owner");
	return fchmod(out, signing->st.st_mode & 07777) < 0 ? byoh_fail_errno(err, "cannot keep the mode") : 0;
}

static int write_area(const struct signing *signing, int out, struct byoh_error *err)
{
	struct byoh_signature signatures[BYOH_SIGNATURE_MAX + 1];
	CLEANUP_BUFFER struct byoh_buffer area = { 0 };
	size_t count;
	const struct byoh_signature *old = byoh_bundle_signatures(signing->bundle, &count);

	memcpy(signatures, old, count * sizeof(signatures[0]));
	signatures[count] = *signing->signature;
	TRY(byoh_signatures_write(signatures, count + 1, &area, err));
	TRY(byoh_pwrite_all(out, area.data, area.size,
			    byoh_bundle_offset(signing->bundle) + BYOH_SUPERBLOCK_SIZE, err));
	return fsync(out) < 0 ? byoh_fail_errno(err, "cannot store the copy") : 0;
}

/* The copy is read as a host will read it: nobody signs a file whose bytes are not good. */
static int check_copy(const struct signing *signing, const char *temporary, struct byoh_error *err)
{
	CLEANUP_KEYRING struct byoh_keyring *signer = byoh_keyring_new();
	CLEANUP_BUNDLE struct byoh_bundle *signed_ = NULL;
	CLEANUP_FD int fd = open(temporary, O_RDONLY | O_CLOEXEC);

	if (!signer)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (fd < 0)
		return byoh_fail_errno(err, "cannot open the copy %s", temporary);
	TRY(byoh_bundle_open_fd(fd, byoh_bundle_name(signing->bundle), &signed_, err));
	fd = -1;
	TRY(byoh_keyring_add(signer, &signing->signature->key, err));
	TRY(byoh_bundle_authenticate(signed_, signer, 1, err));
	if (!byoh_digest_equal(byoh_bundle_id(signed_), byoh_bundle_id(signing->bundle)))
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "the file changed while it was read");
	return byoh_bundle_check(signed_, 0, signing->progress, err);
}

static int publish(const char *temporary, const char *path, struct byoh_error *err)
{
	CLEANUP_FD int directory = -1;
	char *slash;
	char folder[BYOH_PATH_MAX];

	if (rename(temporary, path) < 0)
		return byoh_fail_errno(err, "cannot rename the copy over %s", path);
	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = '\0';
	directory = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0 || fsync(directory) < 0)
		return byoh_fail_errno(err, "cannot store the new name");
	return 0;
}

static int make_copy(struct signing *signing, int out, const char *temporary, struct byoh_error *err)
{
	TRY(copy(signing, out, err));
	TRY(write_area(signing, out, err));
	TRY(check_copy(signing, temporary, err));
	TRY(check_still_there(signing, err));
	return publish(temporary, signing->path, err);
}

static int replace(struct signing *signing, struct byoh_error *err)
{
	char temporary[BYOH_PATH_MAX];
	CLEANUP_FD int out = -1;
	int r;

	if (snprintf(temporary, sizeof(temporary), "%s.signing-XXXXXX", signing->path) >= (int)sizeof(temporary))
		return byoh_fail(err, BYOH_ERROR_USAGE, ENAMETOOLONG, "the path is too long");
	out = mkostemp(temporary, O_CLOEXEC);
	if (out < 0)
		return byoh_fail_errno(err, "cannot make a copy beside it");
	r = make_copy(signing, out, temporary, err);
	if (r < 0)
		unlink(temporary);
	return r;
}

int byoh_sign_file(const struct byoh_bundle *bundle, const char *path, const struct byoh_signature *signature,
		   const struct byoh_progress *progress, bool *ret_added, struct byoh_error *err)
{
	const char *name = byoh_bundle_name(bundle);
	struct signing signing = { .bundle = bundle, .path = path, .signature = signature,
				   .progress = progress, .fd = -1 };
	size_t count;
	int r;

	*ret_added = false;
	if (byoh_trust_check(signature, byoh_bundle_id(bundle), NULL) < 0)
		return byoh_fail(err, BYOH_ERROR_TRUST, EBADMSG,
				 "%s: the signature is not one of this key over this bundle; `byoh-bundle digest` "
				 "writes the message that is to be signed",
				 name);
	if (has_signed(bundle, &signature->key))
		return 0;
	byoh_bundle_signatures(bundle, &count);
	if (count == BYOH_SIGNATURE_MAX)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOSPC,
				 "%s: a bundle has room for %d signatures, and all are taken", name,
				 BYOH_SIGNATURE_MAX);
	r = take_file(&signing, err);
	if (r == 0)
		r = replace(&signing, err);
	byoh_cleanup_fd(&signing.fd);
	*ret_added = r == 0;
	return r < 0 ? byoh_error_wrap(err, r, "%s", name) : 0;
}
