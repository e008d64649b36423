/* SPDX-License-Identifier: Apache-2.0 */
/* byoh-install: the appliance that an operator runs. Without a verb it installs. */
#include <getopt.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/executable.h"
#include "installer/credentials.h"
#include "installer/note.h"
#include "installer/report.h"
#include "installer/verbs/verbs.h"

static const struct byoh_verb *const verbs[] = {
	&byoh_verb_install, &byoh_verb_plan,	&byoh_verb_preflight, &byoh_verb_verify, &byoh_verb_inspect,
	&byoh_verb_extract, &byoh_verb_status,	&byoh_verb_repair,  &byoh_verb_rollback,  &byoh_verb_uninstall,
	&byoh_verb_join,    &byoh_verb_doctor,	&byoh_verb_manifests,
	&byoh_verb_support_bundle, &byoh_verb_settle,
	&byoh_verb_kubeadm_join,
	&byoh_verb_certificates,
	&byoh_verb_boot,
};

static atomic_bool cancelled;

static void cancel(int signal_number)
{
	(void)signal_number;
	atomic_store(&cancelled, true);
}

enum option_id {
	OPTION_CONFIG = 1, OPTION_ROOT, OPTION_KEY, OPTION_JSON, OPTION_YES, OPTION_QUIET, OPTION_VERBOSE,
	OPTION_FROM, OPTION_PLAN, OPTION_IGNORE, OPTION_INSTALLED, OPTION_SBOM, OPTION_FILES,
	OPTION_SIGNATURES, OPTION_TOKEN, OPTION_TOKEN_FILE, OPTION_KUBECONFIG, OPTION_CA, OPTION_RECOVER,
	OPTION_KEEP_DATA, OPTION_DRAIN, OPTION_DRAINED, OPTION_DRAIN_KUBECONFIG, OPTION_ALLOW_DOWNGRADE,
	OPTION_GUARD_CA, OPTION_ADOPT_NODE, OPTION_TOKEN_TTL, OPTION_CLUSTER_KUBECONFIG, OPTION_MANAGEMENT,
	OPTION_AGAIN, OPTION_WAIT, OPTION_VOLUME, OPTION_MIRROR_CA, OPTION_DEVICES, OPTION_HELP, OPTION_VERSION,
};

static const struct option options[] = {
	/* every verb */
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "root", required_argument, NULL, OPTION_ROOT },
	{ "key", required_argument, NULL, OPTION_KEY },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "yes", no_argument, NULL, OPTION_YES },
	{ "quiet", no_argument, NULL, OPTION_QUIET },
	{ "verbose", no_argument, NULL, OPTION_VERBOSE },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	/* some verbs: listed in their own options */
	{ "from", required_argument, NULL, OPTION_FROM },
	{ "mirror-ca", required_argument, NULL, OPTION_MIRROR_CA },
	{ "plan", required_argument, NULL, OPTION_PLAN },
	{ "ignore-preflight-errors", required_argument, NULL, OPTION_IGNORE },
	{ "installed", no_argument, NULL, OPTION_INSTALLED },
	{ "sbom", no_argument, NULL, OPTION_SBOM },
	{ "files", no_argument, NULL, OPTION_FILES },
	{ "signatures", no_argument, NULL, OPTION_SIGNATURES },
	{ "token", required_argument, NULL, OPTION_TOKEN },
	{ "token-file", required_argument, NULL, OPTION_TOKEN_FILE },
	{ "kubeconfig", required_argument, NULL, OPTION_KUBECONFIG },
	{ "ca", required_argument, NULL, OPTION_CA },
	{ "again", no_argument, NULL, OPTION_AGAIN },
	{ "wait", required_argument, NULL, OPTION_WAIT },
	{ "volume", no_argument, NULL, OPTION_VOLUME },
	{ "recover", no_argument, NULL, OPTION_RECOVER },
	{ "ca-bundle", no_argument, NULL, OPTION_GUARD_CA },
	{ "adopt-node", no_argument, NULL, OPTION_ADOPT_NODE },
	{ "keep-data", no_argument, NULL, OPTION_KEEP_DATA },
	{ "drain", no_argument, NULL, OPTION_DRAIN },
	{ "drained", no_argument, NULL, OPTION_DRAINED },
	{ "drain-kubeconfig", required_argument, NULL, OPTION_DRAIN_KUBECONFIG },
	{ "allow-downgrade", no_argument, NULL, OPTION_ALLOW_DOWNGRADE },
	{ "token-ttl", required_argument, NULL, OPTION_TOKEN_TTL },
	{ "cluster-kubeconfig", required_argument, NULL, OPTION_CLUSTER_KUBECONFIG },
	{ "management", required_argument, NULL, OPTION_MANAGEMENT },
	{ "devices", required_argument, NULL, OPTION_DEVICES },
	{ 0 },
};

static const struct option_help {
	const char *value; /* NULL: takes none */
	const char *text;
} option_helps[] = {
	[OPTION_CONFIG] = { "FILE", "the configuration, in place of the one that is found" },
	[OPTION_ROOT] = { "DIR", "work below DIR and start nothing: images, tests" },
	[OPTION_KEY] = { "FILE", "trust this public key too, for this run; may be repeated" },
	[OPTION_JSON] = { NULL, "the result as JSON on standard output" },
	[OPTION_YES] = { NULL, "answer every question with yes" },
	[OPTION_QUIET] = { NULL, "only errors, warnings and results" },
	[OPTION_VERBOSE] = { NULL, "more: each action, each check, notes while working" },
	[OPTION_FROM] = { "FILE|DIR|URL", "another bundle than this one: a file, a folder that holds it or its slices, "
					  "a mirror; repeated, the folders of slices; of join: a folder with token, CA..." },
	[OPTION_MIRROR_CA] = { "FILE", "the CA (PEM) of the mirror that --from names; no other counts then" },
	[OPTION_PLAN] = { "FILE", "go on only if the plan is this one, of plan --json" },
	[OPTION_IGNORE] = { "ID,...", "go on though these checks of the host fail" },
	[OPTION_INSTALLED] = { NULL, "what lies on the host, in place of a bundle" },
	[OPTION_SBOM] = { NULL, "the list of parts, SPDX" },
	[OPTION_FILES] = { NULL, "every file" },
	[OPTION_SIGNATURES] = { NULL, "who signed it, whether the host trusts them or not" },
	[OPTION_TOKEN] = { "TOKEN", "the token; stays in the history of the shell" },
	[OPTION_TOKEN_FILE] = { "FILE|-", "the token, in a file or on standard input" },
	[OPTION_KUBECONFIG] = { "FILE", "a bootstrap kubeconfig: server, CA and token" },
	[OPTION_CA] = { "FILE", "the cluster's CA (PEM)" },
	[OPTION_AGAIN] = { NULL, "put the certificate that there is aside, so that a new one is asked for" },
	[OPTION_WAIT] = { "SECONDS", "how long to wait for the cluster's answer; 60" },
	[OPTION_VOLUME] = { NULL, "what a volume labelled BYOHCFG brings, as far as join.volume allows" },
	[OPTION_KEEP_DATA] = { NULL, "leave images, volumes and what else services have written" },
	[OPTION_DRAIN] = { NULL, "move the node's pods away first, and let pods come back afterwards" },
	[OPTION_DRAINED] = { NULL, "the node has been drained" },
	[OPTION_DRAIN_KUBECONFIG] = { "FILE", "with --drain: whose rights to use, in place of the node's own" },
	[OPTION_ALLOW_DOWNGRADE] = { NULL, "install an older release or Kubernetes than there is" },
	[OPTION_RECOVER] = { NULL, "only undo what an earlier run left open" },
	[OPTION_GUARD_CA] = { NULL, "only bring back the CA certificates that the agent replaced" },
	[OPTION_ADOPT_NODE] = { NULL, "give the agent a host that is a node already; it may come to wipe it" },
	[OPTION_TOKEN_TTL] = { "TIME", "how long the bootstrap token lives: 30m, 24h (the default), 7d" },
	[OPTION_CLUSTER_KUBECONFIG] = { "FILE", "the kubeconfig by which Cluster API is to reach the cluster" },
	[OPTION_DEVICES] = { "FILE", "disks as boot --json describes them, in place of this machine's" },
	[OPTION_MANAGEMENT] = { "DIR", "an unpacked management bundle, for a clusterctl without internet" },
};

static const char exit_codes[] =
	"Exit codes: 0 done, 1 failed and the host is as before, 2 usage or configuration,\n"
	"3 not trusted or damaged, 4 the host is not fit, 5 waiting for the next medium,\n"
	"6 failed and not fully restored, 7 status found drift, doctor a cause.\n";

static void print_help(FILE *out)
{
	fprintf(out, "byoh-install %s: makes this host a Kubernetes worker, without internet\n\n"
		     "usage: byoh-install [VERB] [OPTION...]\n\n", BYOH_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (verbs[i]->summary)
			fprintf(out, "  %s %s\n      %s\n", verbs[i]->name, verbs[i]->usage, verbs[i]->summary);
	fprintf(out, "\nEverywhere: --config FILE, --root DIR, --key FILE, --json, --yes, --quiet, --verbose.\n"
		     "More on each: byoh-install VERB --help.\n%s", exit_codes);
}

static const struct byoh_verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

/* Options beyond the common ones belong to the verbs that list them. */
static bool takes_option(const struct byoh_verb *verb, enum option_id id)
{
	char name[64];

	if (id < OPTION_FROM || id == OPTION_HELP || id == OPTION_VERSION)
		return true;
	for (size_t i = 0; options[i].name; i++)
		if (options[i].val == (int)id)
			snprintf(name, sizeof(name), " %s ", options[i].name);
	return strstr(verb->options, name) != NULL;
}

static void print_options(const struct byoh_verb *verb, bool common)
{
	bool headed = false;
	char left[40];

	for (size_t i = 0; options[i].name; i++) {
		enum option_id id = (enum option_id)options[i].val;
		const struct option_help *help;

		if (id == OPTION_HELP || id == OPTION_VERSION || common != (id < OPTION_FROM) ||
		    !takes_option(verb, id))
			continue;
		help = &option_helps[id];
		snprintf(left, sizeof(left), "--%s%s%s", options[i].name, help->value ? " " : "",
			 help->value ? help->value : "");
		printf("%s  %-20s%s%s\n", headed ? "" : common ? "\nOptions of every verb:\n" : "\nOptions:\n",
		       left, strlen(left) < 20 ? "  " : "\n                        ", help->text);
		headed = true;
	}
}

static void print_verb_help(const struct byoh_verb *verb)
{
	printf("usage: byoh-install %s%s%s\n\n%s\n", verb->name, *verb->usage ? " " : "", verb->usage,
	       verb->summary ? verb->summary : "For the units that run it at boot, not for people.");
	print_options(verb, false);
	print_options(verb, true);
	printf("\n%s", exit_codes);
}

static int add_key(struct byoh_options *ret, struct byoh_error *err)
{
	if (ret->key_count == BYOH_SESSION_KEYS_MAX)
		return byoh_fail(err, BYOH_ERROR_USAGE, E2BIG, "too many --key");
	ret->keys[ret->key_count++] = optarg;
	return 0;
}

static int add_from(struct byoh_options *ret, struct byoh_error *err)
{
	if (ret->from_count == ARRAY_SIZE(ret->from))
		return byoh_fail(err, BYOH_ERROR_USAGE, E2BIG, "too many --from");
	ret->from[ret->from_count++] = optarg;
	return 0;
}

/* Arguments can be read by everybody on the host, for as long as the run takes. */
static int take_token(struct byoh_options *ret, struct byoh_error *err)
{
	byoh_secret_free(ret->token);
	ret->token = strdup(optarg);
	if (!ret->token)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	explicit_bzero(optarg, strlen(optarg));
	return 0;
}

static int take_option(struct byoh_options *ret, enum option_id id, struct byoh_error *err)
{
	const char **texts[] = {
		[OPTION_CONFIG] = &ret->config, [OPTION_ROOT] = &ret->root,
		[OPTION_MIRROR_CA] = &ret->mirror_ca, [OPTION_PLAN] = &ret->plan, [OPTION_IGNORE] = &ret->ignored_preflight,
		[OPTION_TOKEN_FILE] = &ret->token_file,
		[OPTION_KUBECONFIG] = &ret->kubeconfig, [OPTION_CA] = &ret->ca, [OPTION_RECOVER] = NULL,
		[OPTION_DRAIN_KUBECONFIG] = &ret->drain_kubeconfig, [OPTION_TOKEN_TTL] = &ret->token_ttl,
		[OPTION_CLUSTER_KUBECONFIG] = &ret->cluster_kubeconfig, [OPTION_MANAGEMENT] = &ret->management,
		[OPTION_WAIT] = &ret->wait, [OPTION_DEVICES] = &ret->devices,
	};
	bool *flags[] = {
		[OPTION_JSON] = &ret->json, [OPTION_YES] = &ret->yes, [OPTION_QUIET] = &ret->quiet,
		[OPTION_VERBOSE] = &ret->verbose, [OPTION_INSTALLED] = &ret->installed,
		[OPTION_SBOM] = &ret->sbom, [OPTION_FILES] = &ret->files,
		[OPTION_SIGNATURES] = &ret->signatures, [OPTION_RECOVER] = &ret->recover_only,
		[OPTION_KEEP_DATA] = &ret->keep_data, [OPTION_DRAIN] = &ret->drain,
		[OPTION_DRAINED] = &ret->drained, [OPTION_ALLOW_DOWNGRADE] = &ret->allow_downgrade,
		[OPTION_GUARD_CA] = &ret->guard_ca, [OPTION_ADOPT_NODE] = &ret->adopt_node,
		[OPTION_AGAIN] = &ret->again, [OPTION_VOLUME] = &ret->volume,
	};

	if (id == OPTION_KEY)
		return add_key(ret, err);
	if (id == OPTION_FROM)
		return add_from(ret, err);
	if (id == OPTION_TOKEN)
		return take_token(ret, err);
	if ((size_t)id < ARRAY_SIZE(texts) && texts[id])
		*texts[id] = optarg;
	else
		*flags[id] = true;
	return 0;
}

static int parse(const struct byoh_verb *verb, int argc, char **argv, struct byoh_options *ret,
		 struct byoh_error *err)
{
	int id, r;

	opterr = 0;
	while ((id = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (id == '?' || id == ':')
			return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
					 "unknown option, or a value is missing: %s", argv[optind - 1]);
		if (!takes_option(verb, (enum option_id)id))
			return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "%s does not take %s", verb->name,
					 argv[optind - 1]);
		if (id == OPTION_HELP || id == OPTION_VERSION)
			continue; /* seen by main before any verb */
		r = take_option(ret, (enum option_id)id, err);
		if (r < 0)
			return r;
	}
	ret->arguments = argv + optind;
	ret->argument_count = (size_t)(argc - optind);
	if (ret->argument_count > verb->arguments)
		/* Not echoed: it may be a token that lacks its option. */
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "%s takes %s", verb->name,
				 verb->arguments ? "one argument" : "options only");
	return 0;
}

static bool asks_for(int argc, char **argv, const char *option)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], option) == 0)
			return true;
	return false;
}

/* A run ends in order: Ctrl-C undoes, and nothing that can be ignored stops it half-way. */
static void handle_signals(void)
{
	struct sigaction action = { .sa_handler = cancel };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of write(2), and undone */
}

/* Nobody may take silence for an answer: a full disk behind standard output is a failure. */
static int finish_output(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fputs("byoh-install: cannot write to standard output\n", stderr);
	return 1;
}

static int run_verb(const struct byoh_verb *verb, int argc, char **argv)
{
	CLEANUP(byoh_session_release) struct byoh_session session = { .verb = verb->name, .cancel = &cancelled };
	struct byoh_error err = BYOH_ERROR_INIT;
	int r = parse(verb, argc, argv, &session.options, &err);

	if (r == 0)
		r = verb->run(&session, &err);
	byoh_report_end(&session, r, &err);
	if (r >= 0)
		return finish_output(r);
	byoh_make_printable(err.message);
	fprintf(stderr, "byoh-install: %s\n", err.message);
	if (err.kind == BYOH_ERROR_USAGE)
		fprintf(stderr, "usage: byoh-install %s %s\n", verb->name, verb->usage);
	return byoh_error_exit_code(&err);
}

static int unknown_verb(const char *name)
{
	fprintf(stderr, "byoh-install: unknown verb \"%s\"\n", name);
	print_help(stderr);
	return 2;
}

/* `--help`, `VERB --help`, `help VERB`: on standard output, since it is what was asked for. */
static int help(const char *name)
{
	const struct byoh_verb *verb = name ? find_verb(name) : NULL;

	if (name && !verb)
		return unknown_verb(name);
	if (verb)
		print_verb_help(verb);
	else
		print_help(stdout);
	return finish_output(0);
}

int main(int argc, char **argv)
{
	const struct byoh_verb *verb = &byoh_verb_install;
	bool named = argc > 1 && argv[1][0] != '-';

	byoh_hold_standard_descriptors();
	umask(022);
	handle_signals();
	if (asks_for(argc, argv, "--version")) {
		puts("byoh-install " BYOH_VERSION);
		return finish_output(0);
	}
	if (named && strcmp(argv[1], "help") == 0)
		return help(argc > 2 && argv[2][0] != '-' ? argv[2] : NULL);
	if (asks_for(argc, argv, "--help"))
		return help(named ? argv[1] : NULL);
	if (named)
		verb = find_verb(argv[1]);
	if (!verb)
		return unknown_verb(argv[1]);
	if (byoh_bundle_note.type != BYOH_NOTE_TYPE) /* keeps the note linked */
		return 1;
	return run_verb(verb, named ? argc - 1 : argc, named ? argv + 1 : argv);
}
