/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/cli/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/bundle.h"
#include "bundle/slices.h"

#define PASSPHRASE_MAX ((size_t)4096)

int byoh_cli_next_option(int argc, char **argv, const struct option *options)
{
	int c;

	opterr = 0;
	c = getopt_long(argc, argv, ":", options, NULL);
	return c == '?' || c == ':' ? -2 : c;
}

int byoh_cli_bad_option(char **argv, struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "unknown option, or a value is missing: %s",
			 argv[optind - 1]);
}

int byoh_cli_read_passphrase(const char *file, struct byoh_buffer *ret, struct byoh_error *err)
{
	int r;

	if (!file)
		return 0;
	r = byoh_read_named_file(file, PASSPHRASE_MAX, ret, err);
	if (r < 0)
		return r;
	if (ret->data)
		ret->size = strcspn(ret->data, "\r\n");
	if (!ret->size)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "%s: the passphrase is empty", file);
	ret->data[ret->size] = '\0';
	return 0;
}

int byoh_cli_read_key(const char *path, const char *passphrase_file, struct byoh_private_key **ret,
		      struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer passphrase = {0};
	int r = byoh_cli_read_passphrase(passphrase_file, &passphrase, err);

	if (r == 0)
		r = byoh_private_key_read(path, passphrase_file ? byoh_buffer_text(&passphrase) : NULL, ret,
					  err);
	if (passphrase.data)
		OPENSSL_cleanse(passphrase.data, passphrase.size);
	return r;
}

int byoh_cli_add_key(struct byoh_keyring *keyring, const char *path, struct byoh_error *err)
{
	struct byoh_public_key key;
	int r = byoh_public_key_read(path, &key, err);

	return r < 0 ? r : byoh_keyring_add(keyring, &key, err);
}

int byoh_cli_print(const struct byoh_buffer *text, struct byoh_error *err)
{
	if (fwrite(byoh_buffer_text(text), 1, text->size, stdout) != text->size || fflush(stdout) != 0)
		return byoh_fail_errno(err, "cannot write to standard output");
	return 0;
}

int byoh_cli_number(const char *text, const char *option, uint64_t min, uint64_t max, uint64_t *ret,
		    struct byoh_error *err)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || !*text || *end || *text == '-' || value < min || value > max)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "--%s must be a number from %llu to %llu",
				 option, (unsigned long long)min, (unsigned long long)max);
	*ret = value;
	return 0;
}

/* "3.5": thousandths are enough for a length that people name. */
static bool parse_decimal(const char *text, char **ret_end, uint64_t *ret_thousandths)
{
	uint64_t value;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, ret_end, 10);
	if (errno || value > UINT32_MAX)
		return false;
	value *= 1000;
	if (**ret_end == '.') {
		uint64_t unit = 100;

		for ((*ret_end)++; **ret_end >= '0' && **ret_end <= '9'; (*ret_end)++, unit /= 10)
			value += unit * (uint64_t)(**ret_end - '0');
	}
	*ret_thousandths = value;
	return true;
}

int byoh_cli_size(const char *text, const char *option, uint64_t *ret, struct byoh_error *err)
{
	static const char units[] = "KMG";
	const char *unit;
	uint64_t value;
	char *end;

	if (text[strspn(text, "0123456789")] == '\0')
		return byoh_cli_number(text, option, 1, UINT64_MAX / 2, ret, err);
	if (parse_decimal(text, &end, &value) && *end && !end[1] && (unit = strchr(units, *end))) {
		*ret = (value << (10 * (unit - units + 1))) / 1000;
		return 0;
	}
	return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "--%s must be a length as 3.5G, 700M, 64K or bytes", option);
}

int byoh_cli_open_bundle(const char *path, struct byoh_bundle **ret, struct byoh_error *err)
{
	return byoh_bundle_open_any(path, ret, err);
}
