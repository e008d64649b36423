/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of byoh-bundle. Each is a file of its own; the table in main.c gives help its text. */
#ifndef BYOH_BUNDLE_CLI_CLI_H
#define BYOH_BUNDLE_CLI_CLI_H

#include "bundle/base/error.h"

/* What run may return beside 0 and errors: no failure, and exit code 1 all the same. */
#define BYOH_CLI_DIFFERENT 1

struct byoh_cli_verb {
	const char *name;    /* "build" */
	const char *usage;   /* "build SPEC --key private.pem --out FILE [...]" */
	const char *summary; /* one line */
	int (*run)(int argc, char **argv, struct byoh_error *err); /* argv[0] is the verb */
};

extern const struct byoh_cli_verb byoh_cli_build, byoh_cli_diff, byoh_cli_digest, byoh_cli_fetch,
	byoh_cli_inspect, byoh_cli_iso_config, byoh_cli_keygen, byoh_cli_lock, byoh_cli_sign, byoh_cli_split,
	byoh_cli_usb, byoh_cli_verify;

#endif
