/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes bundles that a publisher would not make, signed by a key that the host trusts.
 *
 *   hostile-bundle --list                      their names, one a line; the first is a good bundle
 *   hostile-bundle PRIVATE.pem NAME OUT
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "tests/unit/bundle-fixture.h"

static const struct hostility *find(const char *name)
{
	for (size_t i = 0; i < hostility_count; i++)
		if (strcmp(hostilities[i].name, name) == 0)
			return &hostilities[i];
	return NULL;
}

static int make(const struct hostility *hostility, const char *key_path, const char *out,
		struct byoh_error *err)
{
	CLEANUP_PRIVATE_KEY struct byoh_private_key *key = NULL;
	CLEANUP(forgery_end) struct forgery forgery;
	CLEANUP_BUFFER struct byoh_buffer bytes = {0};
	CLEANUP_FD int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r;

	forgery_start(&forgery);
	if (fd < 0)
		return byoh_fail_errno(err, "cannot create %s", out);
	r = byoh_private_key_read(key_path, NULL, &key, err);
	if (r < 0)
		return r;
	hostility->apply(&forgery);
	forgery_write(&forgery, key, &bytes);
	return byoh_write_all(fd, bytes.data, bytes.size, err);
}

int main(int argc, char **argv)
{
	struct byoh_error err = BYOH_ERROR_INIT;

	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (size_t i = 0; i < hostility_count; i++)
			puts(hostilities[i].name);
		return 0;
	}
	if (argc != 4 || !find(argv[2])) {
		fputs("usage: hostile-bundle --list | hostile-bundle PRIVATE.pem NAME OUT\n", stderr);
		return 2;
	}
	if (make(find(argv[2]), argv[1], argv[3], &err) < 0) {
		fprintf(stderr, "hostile-bundle: %s\n", err.message);
		return 1;
	}
	return 0;
}
