/* SPDX-License-Identifier: Apache-2.0 */
/* byoh-bundle: the publisher's workshop tool. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/cli/cli.h"

static const struct byoh_cli_verb *const verbs[] = {
	&byoh_cli_keygen, &byoh_cli_fetch, &byoh_cli_lock,   &byoh_cli_build,
	&byoh_cli_digest, &byoh_cli_sign,  &byoh_cli_verify, &byoh_cli_inspect,
	&byoh_cli_diff,	  &byoh_cli_usb, &byoh_cli_split, &byoh_cli_iso_config,
};

static void print_help(FILE *out)
{
	fprintf(out, "byoh-bundle %s: packs, signs and checks bundles for byoh-install\n\n", BYOH_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(out, "  byoh-bundle %s\n      %s\n", verbs[i]->usage, verbs[i]->summary);
	fputs("\nExit codes: 0 done, 1 failed, 2 usage or configuration, 3 not trusted or damaged.\n", out);
}

static const struct byoh_cli_verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

static bool is_word(const char *text, const char *a, const char *b)
{
	return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

/* Nobody may take silence for an answer: a full disk behind standard output is a failure. */
static int finish_output(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fputs("byoh-bundle: cannot write to standard output\n", stderr);
	return 1;
}

int main(int argc, char **argv)
{
	const struct byoh_cli_verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
	struct byoh_error err = BYOH_ERROR_INIT;
	int r;

	byoh_hold_standard_descriptors();
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && is_word(argv[1], "--help", "help")) {
		print_help(stdout);
		return 0;
	}
	if (argc > 1 && is_word(argv[1], "--version", "version")) {
		puts("byoh-bundle " BYOH_VERSION);
		return 0;
	}
	if (!verb) {
		if (argc > 1)
			fprintf(stderr, "byoh-bundle: unknown verb \"%s\"\n\n", argv[1]);
		print_help(stderr);
		return 2;
	}
	if (argc > 2 && is_word(argv[2], "--help", "-h")) {
		printf("usage: byoh-bundle %s\n%s\n", verb->usage, verb->summary);
		return 0;
	}
	r = verb->run(argc - 1, argv + 1, &err);
	if (r >= 0)
		return finish_output() ? 1 : r;
	byoh_make_printable(err.message);
	fprintf(stderr, "byoh-bundle: %s\n", err.message);
	if (err.kind == BYOH_ERROR_USAGE)
		fprintf(stderr, "usage: byoh-bundle %s\n", verb->usage);
	return byoh_error_exit_code(&err);
}
