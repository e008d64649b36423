/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/bar.h"
#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/cache.h"
#include "bundle/cli/cli.h"
#include "bundle/cli/options.h"
#include "bundle/executable.h"
#include "bundle/key-files.h"
#include "bundle/pack.h"
#include "bundle/sbom.h"
#include "bundle/slices.h"
#include "bundle/spec.h"

#define STUB_MAX ((size_t)256 << 20)
#define BASES_MAX 16

struct build {
	const char *spec_path, *key, *passphrase_file, *out, *cache, *stub;
	const char *bases[BASES_MAX]; /* what a delta builds on, and what that builds on */
	size_t base_count;
	struct byoh_bundle *base;
	bool allow_unlocked, unsigned_, quiet;
	uint64_t level, threads, split; /* bytes of a slice; 0: one file */
	char scratch[BYOH_PATH_MAX]; /* "" until made */
	struct byoh_spec *spec;
	struct byoh_tree *tree;
	struct byoh_private_key *private_key;
	struct byoh_buffer executable;
	struct byoh_manifest identity; /* borrows the spec's strings */
	struct byoh_digest sbom;
};

static void release_build(struct build *build)
{
	if (*build->scratch) {
		const char *slash = strrchr(build->scratch, '/');
		CLEANUP_FD int parent = -1;

		build->scratch[slash - build->scratch] = '\0';
		parent = open(*build->scratch ? build->scratch : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (parent < 0 || byoh_remove_tree(parent, slash + 1, NULL) < 0)
			fprintf(stderr, "byoh-bundle: cannot remove the scratch folder %s/%s\n",
				build->scratch, slash + 1);
	}
	byoh_spec_free(build->spec);
	byoh_tree_free(build->tree);
	byoh_private_key_free(build->private_key);
	byoh_bundle_free(build->base);
	byoh_buffer_release(&build->executable);
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length > tail && strcmp(text + length - tail, end) == 0;
}

/* Beside the output: the same file system has the room that the output needs. */
static int make_scratch(struct build *build, struct byoh_error *err)
{
	const char *slash = strrchr(build->out, '/');
	int length = slash ? (int)(slash - build->out) : 1;
	char path[BYOH_PATH_MAX];

	if (snprintf(path, sizeof(path), "%.*s/.byoh-build-XXXXXX", length, slash ? build->out : ".") >=
	    (int)sizeof(path))
		return byoh_fail(err, BYOH_ERROR_USAGE, ENAMETOOLONG, "%s: too long", build->out);
	if (!mkdtemp(path))
		return byoh_fail_errno(err, "cannot make a scratch folder beside %s", build->out);
	memcpy(build->scratch, path, sizeof(path));
	return 0;
}

/* byoh-install beside this program, unless --stub names another. */
static int find_stub(const struct build *build, char ret[BYOH_PATH_MAX], struct byoh_error *err)
{
	ssize_t n;
	char *slash;

	if (build->stub) {
		snprintf(ret, BYOH_PATH_MAX, "%s", build->stub);
		return 0;
	}
	n = readlink("/proc/self/exe", ret, BYOH_PATH_MAX - 32);
	if (n < 0)
		return byoh_fail(err, BYOH_ERROR_USAGE, ENOENT, "name the installer with --stub byoh-install");
	ret[n] = '\0';
	slash = strrchr(ret, '/');
	snprintf(slash + 1, 32, "byoh-install");
	if (access(ret, R_OK) < 0)
		return byoh_fail(err, BYOH_ERROR_USAGE, ENOENT,
				 "there is no %s; name the installer with --stub byoh-install", ret);
	return 0;
}

static int add_scratch_file(struct build *build, const char *name, const struct byoh_buffer *bytes,
			    const char *path, mode_t mode, struct byoh_error *err)
{
	char source[BYOH_PATH_MAX + 64];
	CLEANUP_FD int fd = -1;
	int r;

	snprintf(source, sizeof(source), "%s/%s", build->scratch, name);
	fd = open(source, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return byoh_fail_errno(err, "cannot create %s", source);
	r = byoh_write_all(fd, bytes->data, bytes->size, err);
	return r < 0 ? r : byoh_tree_add_file(build->tree, path, mode, source, err);
}

static int add_own_files(struct build *build, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer sbom = {0};
	struct byoh_digest executable;
	char stub[BYOH_PATH_MAX];
	uint64_t join;
	int r = find_stub(build, stub, err);

	if (r == 0)
		r = byoh_executable_prepare(stub, &build->executable, &join, err);
	if (r == 0)
		r = add_scratch_file(build, "executable", &build->executable, BYOH_EXECUTABLE_PATH, 0755,
				     err);
	if (r == 0)
		r = byoh_digest_of(build->executable.data, build->executable.size, &executable, err);
	if (r == 0)
		r = byoh_sbom_write(build->tree, &build->identity, &executable, &sbom, err);
	if (r == 0)
		r = byoh_digest_of(sbom.data, sbom.size, &build->sbom, err);
	if (r == 0)
		r = add_scratch_file(build, "sbom", &sbom, BYOH_SBOM_PATH, 0644, err);
	return r;
}

/* SOURCE_DATE_EPOCH where given, as every reproducible build has it; else now. */
static int read_time(uint64_t *ret, struct byoh_error *err)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");

	if (text)
		return byoh_cli_number(text, "SOURCE_DATE_EPOCH (environment)", 0, UINT32_MAX, ret, err);
	*ret = (uint64_t)time(NULL);
	return 0;
}

static int identify(struct build *build, struct byoh_error *err)
{
	const struct byoh_spec *spec = build->spec;
	union { /* the manifest owns its strings when parsed; here they stay the spec's */
		const char *from;
		char *to;
	} name = { spec->name }, version = { spec->version }, arch = { spec->arch },
	  kubernetes = { spec->kubernetes };

	build->identity.name = name.to;
	build->identity.version = version.to;
	build->identity.arch = arch.to;
	build->identity.kubernetes = kubernetes.to;
	build->identity.epoch = spec->epoch;
	return read_time(&build->identity.built, err);
}

/* A line as each phase begins: packing takes minutes, and where stderr is a log there is no bar. */
static void tell_collecting(const struct build *build)
{
	if (!build->quiet)
		fprintf(stderr, "==> collecting %s %s: %zu components, %zu images\n", build->spec->name,
			build->spec->version, build->spec->component_count, build->spec->image_count);
}

static void tell_packing(const struct build *build)
{
	uint64_t bytes = 0;
	char size[32];

	if (build->quiet)
		return;
	for (size_t i = 0; i < build->tree->entry_count; i++)
		bytes += build->tree->entries[i].size;
	fprintf(stderr, "==> packing %zu components and %zu images, %s, at level %llu\n",
		build->tree->component_count, build->tree->image_count, byoh_format_size(bytes, size),
		(unsigned long long)build->level);
}

static const char *written_as(const struct build *build, char ret[BYOH_PATH_MAX])
{
	snprintf(ret, BYOH_PATH_MAX, "%s%s", build->out, build->split ? ".001" : "");
	return ret;
}

static void tell_written(const struct build *build, const char *id)
{
	struct stat st;
	char size[32], path[BYOH_PATH_MAX];

	if (!build->quiet && stat(written_as(build, path), &st) == 0)
		fprintf(stderr, "==> written %s, %s, id %s\n", path,
			byoh_format_size((uint64_t)st.st_size, size), id);
}

/* A stick with slices has the installer beside them as it is: none of them can be started. */
static int copy_stub(const struct build *build, const char *folder, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer bytes = {0};
	CLEANUP_FD int root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char stub[BYOH_PATH_MAX];
	int r = find_stub(build, stub, err);

	if (root < 0)
		return byoh_fail_errno(err, "cannot open %s", folder);
	if (r == 0)
		r = byoh_read_named_file(stub, STUB_MAX, &bytes, err);
	return r < 0 ? r : byoh_write_file(root, "byoh-install", bytes.data, bytes.size, 0755, err);
}

/* The slices take the place of the one file. */
static int cut(const struct build *build, struct byoh_error *err)
{
	const char *slash = strrchr(build->out, '/');
	CLEANUP_FREE char *folder = !slash ? strdup(".") :
				    strndup(build->out, slash == build->out ? 1 : (size_t)(slash - build->out));
	int r;

	if (!folder)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = byoh_slices_cut(build->out, folder, build->split, NULL, err);
	if (r == 0)
		r = copy_stub(build, folder, err);
	if (r == 0 && unlink(build->out) < 0)
		return byoh_fail_errno(err, "cannot remove %s", build->out);
	return r;
}

static int pack(struct build *build, struct byoh_error *err)
{
	struct byoh_bar bar = byoh_bar_start("Packing", build->quiet);
	struct byoh_pack job = {
		.tree = build->tree,
		.identity = &build->identity,
		.key = build->private_key,
		.executable = &build->executable,
		.sbom = &build->sbom,
		.base = build->base,
		.join = ends_with(build->out, ".run"),
		.scratch_directory = build->scratch,
		.level = (int)build->level,
		.threads = (unsigned int)build->threads,
		.progress = { .report = byoh_bar_report, .context = &bar },
	};
	char hex[BYOH_DIGEST_HEX_SIZE];
	struct byoh_digest id;
	int r;

	tell_packing(build);
	r = byoh_pack(&job, build->out, &id, err);
	byoh_bar_finish(&bar);
	if (r < 0)
		return r;
	byoh_digest_hex(&id, hex);
	r = build->split ? cut(build, err) : 0;
	if (r < 0)
		return r;
	tell_written(build, hex);
	printf("%s\n", hex);
	return 0;
}

static int check_keys(const struct build *build, struct byoh_error *err)
{
	struct byoh_public_key signer;

	if (build->private_key)
		TRY(byoh_private_key_public(build->private_key, &signer, err));
	TRY(byoh_key_files_check(build->tree, build->private_key ? &signer : NULL, err));
	if (build->private_key && byoh_key_files_leave_out(build->tree, &signer))
		fprintf(stderr, "byoh-bundle: warning: it takes a key back (/" BYOH_RELEASE_REVOKED ") and does not bring the one "
				"that signs it (/" BYOH_RELEASE_KEYS "): hosts that have that from an earlier release will refuse "
				"this one\n");
	return 0;
}

/* The publisher names what was published: its signatures have to hold, and nobody has to be trusted. */
static int open_bases(struct build *build, struct byoh_error *err)
{
	int r = 0;

	for (size_t i = build->base_count; i-- > 0 && r == 0;) {
		CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;

		r = byoh_cli_open_bundle(build->bases[i], &bundle, err);
		if (r == 0)
			r = byoh_bundle_examine(bundle, err);
		if (r == 0 && build->base)
			r = byoh_bundle_set_base(bundle, build->base, err);
		if (r == 0)
			build->base = TAKE_PTR(bundle);
	}
	return r;
}

static int build_bundle(struct build *build, struct byoh_error *err)
{
	CLEANUP_FREE char *default_cache = NULL;
	int r = byoh_spec_load(build->spec_path, &build->spec, err);

	if (r == 0 && !build->cache) {
		r = byoh_cache_default(&default_cache, err);
		build->cache = default_cache;
	}
	if (r == 0 && build->key)
		r = byoh_cli_read_key(build->key, build->passphrase_file, &build->private_key, err);
	if (r == 0)
		r = open_bases(build, err);
	if (r == 0)
		r = identify(build, err);
	if (r == 0)
		r = make_scratch(build, err);
	if (r == 0) {
		tell_collecting(build);
		r = byoh_tree_collect(build->spec, build->cache, build->scratch, build->allow_unlocked,
				      &build->tree, err);
	}
	if (r == 0)
		r = check_keys(build, err);
	if (r == 0)
		r = add_own_files(build, err);
	return r < 0 ? r : pack(build, err);
}

static int take_option(struct build *build, int c, struct byoh_error *err)
{
	switch (c) {
	case 'k':
		build->key = optarg;
		return 0;
	case 'p':
		build->passphrase_file = optarg;
		return 0;
	case 'o':
		build->out = optarg;
		return 0;
	case 'c':
		build->cache = optarg;
		return 0;
	case 's':
		build->stub = optarg;
		return 0;
	case 'u':
		build->allow_unlocked = true;
		return 0;
	case 'n':
		build->unsigned_ = true;
		return 0;
	case 'q':
		build->quiet = true;
		return 0;
	case 'b':
		if (build->base_count == BASES_MAX)
			return byoh_fail(err, BYOH_ERROR_USAGE, E2BIG, "too many --base");
		build->bases[build->base_count++] = optarg;
		return 0;
	case 'S':
		return byoh_cli_size(optarg, "split", &build->split, err);
	case 'l':
		return byoh_cli_number(optarg, "level", 1, 22, &build->level, err);
	default:
		return byoh_cli_number(optarg, "threads", 1, 64, &build->threads, err);
	}
}

static int run(int argc, char **argv, struct byoh_error *err)
{
	static const struct option options[] = {
		{ "key", required_argument, NULL, 'k' },     { "passphrase-file", required_argument, NULL, 'p' },
		{ "out", required_argument, NULL, 'o' },     { "cache", required_argument, NULL, 'c' },
		{ "stub", required_argument, NULL, 's' },    { "allow-unlocked", no_argument, NULL, 'u' },
		{ "unsigned", no_argument, NULL, 'n' },	     { "base", required_argument, NULL, 'b' },
		{ "quiet", no_argument, NULL, 'q' },	     { "level", required_argument, NULL, 'l' },
		{ "threads", required_argument, NULL, 't' }, { "split", required_argument, NULL, 'S' },
		{ 0 }
	};
	CLEANUP(release_build) struct build build = { .level = BYOH_PACK_LEVEL_DEFAULT };
	int c, r;

	while ((c = byoh_cli_next_option(argc, argv, options)) > 0) {
		r = take_option(&build, c, err);
		if (r < 0)
			return r;
	}
	if (c < -1)
		return byoh_cli_bad_option(argv, err);
	if (optind + 1 != argc || !build.out || !build.key == !build.unsigned_)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "build needs a spec, --out, and one of --key and --unsigned");
	if (!ends_with(build.out, ".run") && !ends_with(build.out, ".bundle"))
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "--out %s: the name must end in .run or .bundle", build.out);
	if (build.split && (build.split < BYOH_SLICE_SIZE_MIN || build.split > BYOH_SLICE_SIZE_MAX))
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "--split takes 64K to 4294967295 bytes: FAT32 takes no larger file");
	build.spec_path = argv[optind];
	return build_bundle(&build, err);
}

const struct byoh_cli_verb byoh_cli_build = {
	"build",
	"build SPEC --key private.pem|--unsigned --out FILE.run|FILE.bundle [--cache DIR] [--stub byoh-install]\n"
	"        [--passphrase-file FILE] [--level 1-22] [--threads N] [--allow-unlocked] [--quiet]\n"
	"        [--split SIZE] [--base OLD]...",
	"Pack the sources of a spec and sign the bundle; prints its id.", run,
};
