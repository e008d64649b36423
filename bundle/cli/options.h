/* SPDX-License-Identifier: Apache-2.0 */
/* Command line helpers that the verbs share. */
#ifndef BYOH_BUNDLE_CLI_OPTIONS_H
#define BYOH_BUNDLE_CLI_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"
#include "bundle/trust.h"

/* getopt_long without its own messages: the option's letter, -1 at the end, -2 for a wrong option. */
int byoh_cli_next_option(int argc, char **argv, const struct option *options);
/* After -2: says which option was wrong. */
int byoh_cli_bad_option(char **argv, struct byoh_error *err);

/* The first line of a file; nothing where file is NULL. The caller wipes it. */
BYOH_MUST_CHECK int byoh_cli_read_passphrase(const char *file, struct byoh_buffer *ret,
					     struct byoh_error *err);
/* A private key with an optional passphrase file. */
BYOH_MUST_CHECK int byoh_cli_read_key(const char *path, const char *passphrase_file,
				      struct byoh_private_key **ret, struct byoh_error *err);
/* A public key into the keyring. */
BYOH_MUST_CHECK int byoh_cli_add_key(struct byoh_keyring *keyring, const char *path, struct byoh_error *err);
/* A whole number within bounds. */
BYOH_MUST_CHECK int byoh_cli_number(const char *text, const char *option, uint64_t min, uint64_t max,
				    uint64_t *ret, struct byoh_error *err);
/* A length: bytes, or a number with a fraction and K, M or G behind it (powers of 1024). */
BYOH_MUST_CHECK int byoh_cli_size(const char *text, const char *option, uint64_t *ret, struct byoh_error *err);
/* A bundle by its file, or by the first of its slices. */
struct byoh_bundle;
BYOH_MUST_CHECK int byoh_cli_open_bundle(const char *path, struct byoh_bundle **ret, struct byoh_error *err);

/* What a verb is asked for, on standard output, whole or an error. */
BYOH_MUST_CHECK int byoh_cli_print(const struct byoh_buffer *text, struct byoh_error *err);

#endif
