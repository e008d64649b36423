/* SPDX-License-Identifier: Apache-2.0 */
/* manifests: looks at no host, and so needs neither root nor a bundle; the config is all that it goes
 * by. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/path.h"
#include "installer/credentials.h"
#include "installer/kubeconfig.h"
#include "installer/manifests/manifests.h"
#include "installer/report.h"
#include "installer/verbs/verbs.h"

#define KEYS_HOST "etc/byoh/keys.d"

/* What the files are made of, and has to live as long as they are being made. */
struct work {
	struct byoh_manifests_input input;
	struct byoh_manifests files;
	struct byoh_clusterctl clusterctl;
	struct byoh_buffer kubeconfig, cni;
	char token[BYOH_TOKEN_SIZE];
	char expiration[BYOH_EXPIRATION_SIZE];
	char *folder;
};

static void release(struct work *work)
{
	byoh_manifests_release(&work->files);
	byoh_secret_buffer_release(&work->kubeconfig);
	byoh_buffer_release(&work->cni);
	explicit_bzero(work->token, sizeof(work->token));
	free(work->folder);
}

/* A signature that is there is checked here as everywhere; whose it may be, --key says on a
 * workstation. */
static int check_signature(struct byoh_session *session, int root_fd, const char *path,
			   const struct byoh_buffer *text, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer signature = { 0 };
	struct byoh_public_key key;
	int r = 0;

	session->keyring = byoh_keyring_new();
	if (!session->keyring)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < session->options.key_count; i++) {
		r = byoh_public_key_read(session->options.keys[i], &key, err);
		if (r == 0)
			r = byoh_keyring_add(session->keyring, &key, err);
	}
	if (r == 0 && !session->options.key_count)
		r = byoh_keyring_add_directory(session->keyring, root_fd, KEYS_HOST, false, NULL);
	if (r == -EACCES)
		r = 0; /* not root: none of the host's then */
	return r < 0 ? r : byoh_discover_check_signature(path, text, session->keyring, &signature, err);
}

/* The top level of the config alone: the objects are for all machines. */
static int load_config(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP(byoh_config_place_release) struct byoh_config_place place = { 0 };
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	const char *root = session->options.root ? session->options.root : "/";
	CLEANUP_FD int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct byoh_host host = { .root = (char *)root, .root_fd = root_fd }; /* only looked at */
	int r;

	if (root_fd < 0)
		return byoh_fail_errno(err, "cannot open %s", root);
	r = byoh_discover_config(&host, session->options.config, &place, err);
	if (r == 0 && !place.path)
		return byoh_fail(err, BYOH_ERROR_USAGE, ENOENT,
				 "no configuration was found; name one with --config FILE");
	if (r == 0)
		r = byoh_config_read_text(place.path, &text, err);
	if (r == 0)
		r = check_signature(session, root_fd, place.path, &text, err);
	if (r == 0)
		r = byoh_config_load_for_all(place.path, &text, &session->config, err);
	if (r == 0)
		byoh_report_line(session, "configuration: %s", place.path);
	return r;
}

static int take_token(const struct byoh_session *session, struct work *work, struct byoh_error *err)
{
	const char *given = session->config->cluster.token;
	time_t ttl = BYOH_TOKEN_TTL_DEFAULT;
	int r = session->options.token_ttl ? byoh_token_ttl_parse(session->options.token_ttl, &ttl, err)
					   : 0;

	if (r == 0)
		r = byoh_expiration(time(NULL) + ttl, work->expiration, err);
	if (r < 0)
		return r;
	work->input.expiration = work->expiration;
	work->input.token_is_new = !given;
	if (given && !byoh_token_is_bootstrap(given))
		return 0;
	if (!given)
		r = byoh_token_make(work->token, err);
	else
		memcpy(work->token, given, sizeof(work->token));
	work->input.token = work->token;
	return r;
}

static int take_kubeconfig(const struct byoh_session *session, struct work *work,
			   struct byoh_error *err)
{
	const char *path = session->options.cluster_kubeconfig;
	int r;

	if (!path)
		return 0;
	r = byoh_read_named_file(path, BYOH_KUBECONFIG_MAX_SIZE, &work->kubeconfig, err);
	if (r == 0)
		r = byoh_manifests_check_kubeconfig(byoh_buffer_text(&work->kubeconfig),
						    work->kubeconfig.size, path, err);
	work->input.cluster_kubeconfig = &work->kubeconfig;
	return r;
}

/* Beside the config, like every file that it names. */
static int take_cni(const struct byoh_session *session, struct work *work, struct byoh_error *err)
{
	const char *name = session->config->management.cni_file;
	CLEANUP_FREE char *path = NULL, *copy = strdup(session->config->path);
	int r;

	if (!name)
		return 0;
	if (!copy || asprintf(&path, "%s%s%s", *name == '/' ? "" : dirname(copy),
			      *name == '/' ? "" : "/", name) < 0) {
		path = NULL;
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	r = byoh_read_named_file(path, BYOH_CNI_MAX, &work->cni, err);
	if (r == 0)
		r = byoh_manifests_check_cni(&work->cni, path, BYOH_CNI_PART_MAX, err);
	work->input.cni = &work->cni;
	return r < 0 ? byoh_error_wrap(err, r, "management.cni.file") : 0;
}

/* Where the folder will be, in full: clusterctl wants no relative paths. */
static int find_folder(const char *folder, struct work *work, struct byoh_error *err)
{
	CLEANUP_FREE char *copy = strdup(folder), *copy2 = strdup(folder), *parent = NULL;
	const char *name = copy2 ? basename(copy2) : "";

	if (!copy || !copy2)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "/"))
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "name a new folder, not \"%s\"",
				 folder);
	parent = realpath(dirname(copy), NULL);
	if (!parent)
		return byoh_fail_errno(err, "cannot find the folder that %s is to be made in", folder);
	if (asprintf(&work->folder, "%s/%s", strcmp(parent, "/") ? parent : "", name) < 0) {
		work->folder = NULL;
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	work->input.folder = work->folder;
	return 0;
}

/* Options that would do nothing in this join mode are refused, as keys are. */
static int check_options(const struct byoh_session *session, const struct work *work,
			 struct byoh_error *err)
{
	const struct byoh_options *options = &session->options;
	const char *useless = options->cluster_kubeconfig ? "--cluster-kubeconfig"
			      : options->management       ? "--management"
							  : NULL;

	if (!useless || byoh_manifests_claim(&work->input))
		return 0;
	return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
			 "%s is for join mode agent; in join mode %s Cluster API has nothing to do "
			 "with the hosts",
			 useless, byoh_join_mode_name(session->config->join_mode));
}

static int gather(struct byoh_session *session, struct work *work, struct byoh_error *err)
{
	int r = byoh_manifests_prepare(session->config, &work->input, err);

	if (r == 0)
		r = check_options(session, work, err);
	if (r == 0)
		r = find_folder(session->options.arguments[0], work, err);
	if (r == 0)
		r = take_token(session, work, err);
	if (r < 0 || !byoh_manifests_claim(&work->input))
		return r;
	r = take_kubeconfig(session, work, err);
	if (r == 0)
		r = take_cni(session, work, err);
	if (r < 0 || !session->options.management)
		return r;
	work->input.clusterctl = &work->clusterctl;
	return byoh_clusterctl_read(session->options.management, &work->clusterctl, &work->files, err);
}

static int tell_json(const struct work *work, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_json json = byoh_json_to(&text);
	int r;

	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "result", "written");
	byoh_json_field_string(&json, "folder", work->folder);
	byoh_json_field_string(&json, "cluster", work->input.cluster);
	byoh_json_field_string(&json, "tokenExpiration", work->input.token ? work->expiration : NULL);
	byoh_json_field_bool(&json, "tokenIsNew", work->input.token && work->input.token_is_new);
	byoh_json_key(&json, "files");
	byoh_json_begin_array(&json);
	for (size_t i = 0; i < work->files.count; i++)
		byoh_json_string(&json, work->files.items[i].name);
	byoh_json_end_array(&json);
	byoh_json_end_object(&json);
	r = byoh_json_finish(&json, err);
	return r < 0 ? r : byoh_report_result(&text, err);
}

static int tell(const struct byoh_session *session, const struct work *work, struct byoh_error *err)
{
	if (work->input.token)
		byoh_report_line(session,
				 "the bootstrap token lives until %s, if this computer's clock is "
				 "right",
				 work->expiration);
	if (work->input.token && work->input.token_is_new)
		byoh_report_line(session, "the file \"token\" belongs on the stick, beside byoh.yaml");
	if (work->clusterctl.mended)
		byoh_report_line(session, "the metadata of the BYOH provider lacked its own version; "
					  "it has it now");
	byoh_report_line(session, "written to %s; README.md there has the order", work->folder);
	return session->options.json ? tell_json(work, err) : 0;
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP(release) struct work work = { 0 };
	int r;

	if (session->options.argument_count != 1)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "manifests needs the name of a new folder");
	r = byoh_session_enter_reader(session, err);
	if (r == 0)
		r = load_config(session, err);
	if (r == 0)
		r = gather(session, &work, err);
	if (r == 0)
		r = byoh_manifests_make(&work.input, &work.files, err);
	if (r == 0)
		r = byoh_manifests_write(&work.files, work.folder, err);
	return r < 0 ? r : tell(session, &work, err);
}

const struct byoh_verb byoh_verb_manifests = {
	"manifests",
	"DIR [--token-ttl TIME] [--cluster-kubeconfig FILE] [--management DIR]",
	"Write the objects for the cluster's side, and the order in which they are applied.",
	" token-ttl cluster-kubeconfig management ",
	1,
	run,
};
