/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries one command at many points, their numbers on its standard input: the root is made anew, the command runs
 * under inject, and its root has to be as before or as after a whole run (tests/fault/run). What is wrong goes
 * into FOLDER/KIND.violations.POINT; the number of points that were tried is printed.
 *
 * One program, since a shell took as long as what it tried.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "tests/fault/copy-tree.h"
#include "tests/fault/listing.h"

#define MAX_WORDS 64
#define MAX_SEEN 4096
#define AGAIN_EVERY 8 /* a root that was tried before is, now and then, tried all the same */
#define KILLED (128 + SIGKILL)

enum state { OLD, NEW, BETWEEN };

struct sweep {
	const char *name, *kind, *folder, *tree, *inject, *installer, *table_path;
	bool once;	/* the command does something else when done again */
	bool disturbed; /* the host before is no old one: the command undoes what was cut off */
	bool single;	/* a point that is not reached is no reason to stop */
	char *within[MAX_WORDS], **command;
	struct listing_table table;
	struct byoh_buffer old, new;
	char hit[8192 + 32]; /* inject's line about the call */
	struct byoh_digest seen[MAX_SEEN];
	size_t seen_count, repeated;
};

static const char usage[] =
	"usage: sweep --name NAME --kind KIND --folder FOLDER --tree TREE --inject FILE --installer FILE --table FILE\n"
	"             [--once] [--disturbed] [--single] [--within WORD]... -- COMMAND...\n"
	"FOLDER has start/, old.list and new.list. KIND: kill EIO ENOSPC full dead.\n";

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "sweep: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void read_text(const char *path, struct byoh_buffer *ret)
{
	CLEANUP_FILE FILE *file = fopen(path, "re");
	char bytes[4096];
	size_t n;

	ret->size = 0;
	require(file, path);
	while ((n = fread(bytes, 1, sizeof(bytes), file)) > 0)
		require(byoh_buffer_add(ret, bytes, n, NULL) == 0, path);
}

static void beside(const struct sweep *sweep, const char *suffix, char ret[static 4096])
{
	snprintf(ret, 4096, "%s%s", sweep->tree, suffix);
}

/* Without a terminal; what it says goes into TREE.said. Returns the exit code as a shell tells it. */
static int run(const struct sweep *sweep, const char *const *words)
{
	char said[4096];
	pid_t pid;
	int status;

	beside(sweep, ".said", said);
	pid = fork();
	require(pid >= 0, "fork");
	if (pid == 0) {
		int in = open("/dev/null", O_RDONLY), out = open(said, O_WRONLY | O_CREAT | O_APPEND, 0600);

		if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
			_exit(125);
		close(in);
		close(out);
		execvp(words[0], (char *const *)words);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		require(errno == EINTR, "wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static size_t add_words(const char **words, size_t count, char *const *more)
{
	for (; *more; more++) {
		require(count < 2 * MAX_WORDS - 1, "too many words");
		words[count++] = *more;
	}
	words[count] = NULL;
	return count;
}

static int run_injected(const struct sweep *sweep, const char *point)
{
	const char *words[2 * MAX_WORDS] = { NULL };
	size_t count = add_words(words, 0, sweep->within);
	bool later = strcmp(sweep->kind, "full") == 0 || strcmp(sweep->kind, "dead") == 0;
	bool room = strcmp(sweep->kind, "full") == 0 || strcmp(sweep->kind, "ENOSPC") == 0;
	bool kills = strcmp(sweep->kind, "kill") == 0;
	char hit[4096];
	const char *const options[] = { sweep->inject, "--hit", hit, kills ? "--kill-at" : later ? "--from" : "--fail-at",
					point, "--errno", room ? "ENOSPC" : "EIO", "--", NULL };

	beside(sweep, ".hit", hit);
	count = add_words(words, count, (char *const *)options);
	add_words(words, count, sweep->command);
	return run(sweep, words);
}

static int run_again(const struct sweep *sweep)
{
	const char *words[2 * MAX_WORDS] = { NULL };
	size_t count = add_words(words, 0, sweep->within);

	add_words(words, count, sweep->command);
	return run(sweep, words);
}

/* What any verb does first. */
static bool settle(const struct sweep *sweep)
{
	const char *const status[] = { sweep->installer, "status", "--root", sweep->tree, NULL };
	const char *words[2 * MAX_WORDS] = { NULL };
	size_t count = add_words(words, 0, sweep->within);
	int code;

	add_words(words, count, (char *const *)status);
	code = run(sweep, words);
	return code == 0 || code == 7;
}

static bool same(const struct byoh_buffer *a, const struct byoh_buffer *b)
{
	return a->size == b->size && memcmp(byoh_buffer_text(a), byoh_buffer_text(b), a->size) == 0;
}

/* An undo that ends as it began has nothing to be told apart by. */
static bool changes_something(const struct sweep *sweep)
{
	return !same(&sweep->old, &sweep->new);
}

static enum state state_of(struct sweep *sweep, struct byoh_digest *ret_whole)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP_FILE FILE *file = NULL;
	char path[4096];

	listing_make(sweep->tree, &sweep->table, &text, ret_whole);
	if (same(&text, &sweep->new))
		return NEW;
	if (same(&text, &sweep->old))
		return OLD;
	beside(sweep, ".list", path);
	file = fopen(path, "we");
	require(file && fputs(byoh_buffer_text(&text), file) >= 0, path);
	return BETWEEN;
}

static void add_difference(const struct sweep *sweep, const char *what, const char *violations)
{
	static const char script[] =
		"{ [ \"$1\" != said ] || tail -n \"${FAULT_SAID:-6}\" \"$3.said\" | sed 's/^/    said: /'\n"
		"[ \"$1\" = said ] || [ ! -e \"$3.list\" ] || diff \"$2/$1.list\" \"$3.list\" | grep '^[<>]' | head -n 8 |\n"
		"sed \"s/^/    to $1: /\"; } >>\"$4\"";
	pid_t pid = fork();

	require(pid >= 0, "fork");
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", script, "sh", what, sweep->folder, sweep->tree, violations, NULL);
		_exit(127);
	}
	while (waitpid(pid, NULL, 0) < 0)
		require(errno == EINTR, "wait");
}

static void violation(const struct sweep *sweep, const char *point, int code, const char *text)
{
	CLEANUP_FILE FILE *file = NULL;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s.violations.%s", sweep->folder, sweep->kind, point);
	file = fopen(path, "ae");
	require(file, path);
	fprintf(file, "%s %s %s: exit code %d, %s; %s\n", sweep->name, sweep->kind, point, code, text, sweep->hit);
	require(fflush(file) == 0, path);
	add_difference(sweep, "said", path);
	add_difference(sweep, "old", path);
	add_difference(sweep, "new", path);
}

static bool is(const struct sweep *sweep, const char *kind)
{
	return strcmp(sweep->kind, kind) == 0;
}

/* Not everything restored: only where calls of the undo failed, too. */
static bool may_be_left(const struct sweep *sweep)
{
	return is(sweep, "full") || is(sweep, "dead") || sweep->disturbed;
}

/* Between, until the next run: after a 6, or where the very call that failed takes something away. */
static bool may_be_between(const struct sweep *sweep, int code)
{
	const char *call = strchr(sweep->hit, ' ');

	if (is(sweep, "dead") || code == 6 || sweep->disturbed)
		return true;
	return call && (strncmp(call, " unlink ", 8) == 0 || strncmp(call, " unlinkat ", 10) == 0 ||
			strncmp(call, " rmdir ", 7) == 0);
}

static void note_done(const struct sweep *sweep)
{
	CLEANUP_FILE FILE *file = NULL;
	char path[4096];

	snprintf(path, sizeof(path), "%s/done-in-spite", sweep->folder);
	file = fopen(path, "ae");
	require(file && fprintf(file, "%s %s %s\n", sweep->name, sweep->kind, sweep->hit) > 0, path);
}

/* What an exit code promises of the root. */
static void judge_code(const struct sweep *sweep, const char *point, int code, enum state state)
{
	if (code == 0) {
		if (state == OLD && changes_something(sweep))
			violation(sweep, point, code, "and it is old");
		note_done(sweep);
	} else if (code == 6) {
		if (!may_be_left(sweep))
			violation(sweep, point, code, "which this must not be");
	} else if (state == NEW && changes_something(sweep)) {
		violation(sweep, point, code, "and it is new");
	}
}

/* The same root, to the byte and with nothing left out, does what it did when it was tried. */
static bool was_tried(struct sweep *sweep, const struct byoh_digest *whole)
{
	for (size_t i = 0; i < sweep->seen_count; i++)
		if (byoh_digest_equal(&sweep->seen[i], whole))
			return ++sweep->repeated % AGAIN_EVERY != 0;
	return false;
}

static void remember(struct sweep *sweep, const struct byoh_digest *whole)
{
	if (sweep->seen_count < MAX_SEEN)
		sweep->seen[sweep->seen_count++] = *whole;
}

static void begin_point(struct sweep *sweep)
{
	static const char *const leftovers[] = { ".said", ".hit", ".list" };
	char path[4096];

	for (size_t i = 0; i < ARRAY_SIZE(leftovers); i++) {
		beside(sweep, leftovers[i], path);
		require(unlink(path) == 0 || errno == ENOENT, path);
	}
	if (access(sweep->tree, F_OK) == 0)
		tree_remove(sweep->tree);
	snprintf(path, sizeof(path), "%s/start", sweep->folder);
	copy_tree(path, sweep->tree);
}

static void read_hit(struct sweep *sweep)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char path[4096];

	beside(sweep, ".hit", path);
	read_text(path, &text);
	snprintf(sweep->hit, sizeof(sweep->hit), "%s", byoh_buffer_text(&text));
	sweep->hit[strcspn(sweep->hit, "\n")] = '\0';
}

/* Between is a state only until the next run of any verb. */
static bool settles(struct sweep *sweep, const char *point, int code, enum state *state, struct byoh_digest *whole)
{
	if (!settle(sweep)) {
		violation(sweep, point, code, "and the next run cannot settle it");
		return false;
	}
	*state = state_of(sweep, whole);
	if (*state == BETWEEN)
		violation(sweep, point, code, "between even after the next run");
	return true;
}

static bool try_point(struct sweep *sweep, const char *point)
{
	struct byoh_digest whole;
	enum state state = BETWEEN;
	int code;

	begin_point(sweep);
	code = run_injected(sweep, point);
	read_hit(sweep);
	if (!sweep->hit[0])
		return false;
	if (is(sweep, "kill") && code != KILLED) {
		violation(sweep, point, code, "not killed");
		return true;
	}
	if (code != KILLED) {
		state = state_of(sweep, &whole);
		judge_code(sweep, point, code, state);
		if (state == BETWEEN && !may_be_between(sweep, code))
			violation(sweep, point, code, "and it is between");
	}
	if (state == BETWEEN && !settles(sweep, point, code, &state, &whole))
		return true;
	if ((state == NEW && sweep->once) || was_tried(sweep, &whole))
		return true;
	if (run_again(sweep) != 0)
		violation(sweep, point, code, "and it cannot be done any more");
	else if (state_of(sweep, NULL) != NEW)
		violation(sweep, point, code, "and done again it is not new");
	else
		remember(sweep, &whole);
	return true;
}

static void set_option(struct sweep *sweep, int option, size_t *within)
{
	switch (option) {
	case 'n': sweep->name = optarg; break;
	case 'k': sweep->kind = optarg; break;
	case 'f': sweep->folder = optarg; break;
	case 't': sweep->tree = optarg; break;
	case 'i': sweep->inject = optarg; break;
	case 'I': sweep->installer = optarg; break;
	case 'T': sweep->table_path = optarg; break;
	case 'o': sweep->once = true; break;
	case 'd': sweep->disturbed = true; break;
	case 's': sweep->single = true; break;
	case 'w':
		require(*within < MAX_WORDS - 1, "too many words");
		sweep->within[(*within)++] = optarg;
		break;
	default:
		fputs(usage, option == 'h' ? stdout : stderr);
		exit(option == 'h' ? 0 : 2);
	}
}

static void parse_options(struct sweep *sweep, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },      { "kind", required_argument, NULL, 'k' },
		{ "folder", required_argument, NULL, 'f' },    { "tree", required_argument, NULL, 't' },
		{ "inject", required_argument, NULL, 'i' },    { "installer", required_argument, NULL, 'I' },
		{ "table", required_argument, NULL, 'T' },     { "once", no_argument, NULL, 'o' },
		{ "disturbed", no_argument, NULL, 'd' },       { "single", no_argument, NULL, 's' },
		{ "within", required_argument, NULL, 'w' },    { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	size_t within = 0;
	int option;

	while ((option = getopt_long(argc, argv, "+h", options, NULL)) != -1)
		set_option(sweep, option, &within);
	sweep->command = argv + optind;
	if (optind < argc && sweep->name && sweep->kind && sweep->folder && sweep->tree && sweep->inject &&
	    sweep->installer && sweep->table_path)
		return;
	fputs(usage, stderr);
	exit(2);
}

int main(int argc, char *argv[])
{
	static struct sweep sweep;
	unsigned long tried = 0;
	char path[4096], point[32];

	parse_options(&sweep, argc, argv);
	listing_read_table(sweep.table_path, &sweep.table);
	snprintf(path, sizeof(path), "%s/old.list", sweep.folder);
	read_text(path, &sweep.old);
	snprintf(path, sizeof(path), "%s/new.list", sweep.folder);
	read_text(path, &sweep.new);
	while (fgets(point, sizeof(point), stdin)) {
		point[strcspn(point, "\n")] = '\0';
		if (try_point(&sweep, point))
			tried++;
		else if (!sweep.single)
			break;
	}
	printf("%lu\n", tried);
	return fflush(stdout) ? 2 : 0;
}
