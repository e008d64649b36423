/* SPDX-License-Identifier: Apache-2.0 */
/* Adding signatures to a file: what it is before, after, and when that fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/compare.h"
#include "bundle/describe.h"
#include "bundle/sign.h"
#include "tests/unit/bundle-fixture.h"

struct fixture {
	struct packer packer;
	struct byoh_private_key *first, *second;
	char *path; /* a .run signed by the first */
	struct byoh_buffer bytes;
};

static struct byoh_error err;

static void read_whole(const char *path, struct byoh_buffer *ret)
{
	assert_int_equal(byoh_read_named_file(path, 64 << 20, ret, NULL), 0);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	unsigned char noise[20000];
	struct byoh_digest id;

	packer_start(&fixture->packer);
	fill_with_noise(noise, sizeof(noise), 3);
	packer_add_file(&fixture->packer, "opt/noise", 0644, noise, sizeof(noise));
	packer_add_executable(&fixture->packer);
	packer_finish(&fixture->packer);
	assert_int_equal(byoh_private_key_generate(&fixture->first, NULL), 0);
	assert_int_equal(byoh_private_key_generate(&fixture->second, NULL), 0);
	fixture->packer.pack.key = fixture->first;
	fixture->path = packer_path(&fixture->packer, "x.run");
	assert_int_equal(byoh_pack(&fixture->packer.pack, fixture->path, &id, NULL), 0);
	read_whole(fixture->path, &fixture->bytes);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	packer_end(&fixture->packer);
	byoh_private_key_free(fixture->first);
	byoh_private_key_free(fixture->second);
	byoh_buffer_release(&fixture->bytes);
	free(fixture->path);
	free(fixture);
	return 0;
}

static struct byoh_bundle *open_examined(const char *path)
{
	struct byoh_bundle *bundle = NULL;

	assert_int_equal(byoh_bundle_open(path, &bundle, &err), 0);
	assert_int_equal(byoh_bundle_examine(bundle, &err), 0);
	return bundle;
}

static int sign_by(const struct fixture *fixture, const struct byoh_private_key *key, bool *ret_added)
{
	CLEANUP_BUNDLE struct byoh_bundle *bundle = open_examined(fixture->path);
	struct byoh_signature signature;

	assert_int_equal(byoh_trust_sign(key, byoh_bundle_id(bundle), &signature, NULL), 0);
	return byoh_sign_file(bundle, fixture->path, &signature, NULL, ret_added, &err);
}

static void assert_unchanged(const struct fixture *fixture)
{
	CLEANUP_BUFFER struct byoh_buffer now = { 0 };

	read_whole(fixture->path, &now);
	assert_int_equal(now.size, fixture->bytes.size);
	assert_memory_equal(now.data, fixture->bytes.data, now.size);
}

static void only_the_area_changes(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_BUNDLE struct byoh_bundle *after = NULL;
	CLEANUP_BUFFER struct byoh_buffer now = { 0 };
	size_t area, count;
	struct stat st;
	bool added;

	assert_int_equal(chmod(fixture->path, 0710), 0);
	assert_int_equal(sign_by(fixture, fixture->second, &added), 0);
	assert_true(added);
	read_whole(fixture->path, &now);
	after = open_examined(fixture->path);
	byoh_bundle_signatures(after, &count);
	assert_int_equal(count, 2);
	assert_int_equal(byoh_bundle_check(after, 1, NULL, &err), 0);
	area = (size_t)byoh_bundle_offset(after) + BYOH_SUPERBLOCK_SIZE;
	assert_int_equal(now.size, fixture->bytes.size);
	assert_memory_equal(now.data, fixture->bytes.data, area);
	assert_memory_equal(now.data + area + BYOH_SIGNATURES_SIZE, fixture->bytes.data + area + BYOH_SIGNATURES_SIZE,
			    now.size - area - BYOH_SIGNATURES_SIZE);
	assert_int_equal(stat(fixture->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0710);
}

static void the_same_key_changes_nothing(void **state)
{
	const struct fixture *fixture = *state;
	bool added = true;

	assert_int_equal(sign_by(fixture, fixture->first, &added), 0);
	assert_false(added);
	assert_unchanged(fixture);
}

static void a_signature_over_something_else_is_refused(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_BUNDLE struct byoh_bundle *bundle = open_examined(fixture->path);
	const struct byoh_digest other = { { 1, 2, 3 } };
	struct byoh_signature signature;
	bool added = true;

	assert_int_equal(byoh_trust_sign(fixture->second, &other, &signature, NULL), 0);
	assert_int_equal(byoh_sign_file(bundle, fixture->path, &signature, NULL, &added, &err), -EBADMSG);
	assert_int_equal(err.kind, BYOH_ERROR_TRUST);
	assert_false(added);
	assert_unchanged(fixture);
}

static void two_at_once_lose_nothing(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_BUNDLE struct byoh_bundle *slow = open_examined(fixture->path);
	CLEANUP_PRIVATE_KEY struct byoh_private_key *third = NULL;
	CLEANUP_FD int held = open(fixture->path, O_RDONLY | O_CLOEXEC);
	struct byoh_signature signature;
	size_t count;
	bool added;

	assert_int_equal(flock(held, LOCK_EX), 0);
	assert_int_equal(sign_by(fixture, fixture->second, &added), -EWOULDBLOCK);
	assert_unchanged(fixture);
	assert_int_equal(flock(held, LOCK_UN), 0);
	/* slow has read the file before another signed it: what it would write lacks that signature. */
	assert_int_equal(sign_by(fixture, fixture->second, &added), 0);
	assert_int_equal(byoh_private_key_generate(&third, NULL), 0);
	assert_int_equal(byoh_trust_sign(third, byoh_bundle_id(slow), &signature, NULL), 0);
	assert_int_equal(byoh_sign_file(slow, fixture->path, &signature, NULL, &added, &err), -EBUSY);
	byoh_bundle_freep(&slow);
	slow = open_examined(fixture->path);
	byoh_bundle_signatures(slow, &count);
	assert_int_equal(count, 2);
}

static void a_damaged_file_is_not_signed(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_FD int fd = open(fixture->path, O_WRONLY | O_CLOEXEC);
	uint64_t at = fixture->bytes.size - 700;
	bool added;

	fixture->bytes.data[at] ^= 1;
	assert_int_equal(byoh_pwrite_all(fd, fixture->bytes.data + at, 1, at, NULL), 0);
	assert_true(sign_by(fixture, fixture->second, &added) < 0);
	assert_int_equal(err.kind, BYOH_ERROR_FORMAT);
	assert_unchanged(fixture);
	assert_non_null(strstr(err.message, fixture->path));
}

static void what_another_signature_changes_is_told(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_BUNDLE struct byoh_bundle *before = open_examined(fixture->path), *after = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, json = { 0 };
	size_t broken;
	bool same, added;

	assert_int_equal(byoh_compare(before, before, false, &text, &same, &err), 0);
	assert_true(same);
	assert_int_equal(sign_by(fixture, fixture->second, &added), 0);
	after = open_examined(fixture->path);
	assert_int_equal(byoh_compare(before, after, false, &text, &same, &err), 0);
	assert_false(same);
	assert_non_null(strstr(byoh_buffer_text(&text), "signers\n  + "));
	assert_int_equal(byoh_compare(after, before, true, &json, &same, &err), 0);
	assert_non_null(strstr(byoh_buffer_text(&json), "\"removed\""));
	assert_int_equal(byoh_describe_signatures(after, NULL, false, &text, &broken, &err), 0);
	assert_int_equal(broken, 0);
}

int main(void)
{
#define WITH_BUNDLE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_BUNDLE(only_the_area_changes),
		WITH_BUNDLE(the_same_key_changes_nothing),
		WITH_BUNDLE(a_signature_over_something_else_is_refused),
		WITH_BUNDLE(two_at_once_lose_nothing),
		WITH_BUNDLE(a_damaged_file_is_not_signed),
		WITH_BUNDLE(what_another_signature_changes_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
