/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/confine.h"
#include "bundle/base/path.h"
#include "installer/actions/actions.h"
#include "installer/base.h"
#include "installer/credentials.h"
#include "installer/discover.h"
#include "installer/lasting-trust.h"
#include "installer/log.h"
#include "installer/media.h"
#include "installer/net/mirror.h"
#include "installer/net/outside.h"
#include "installer/report.h"
#include "installer/restore.h"
#include "installer/signers.h"
#include "installer/steps/late.h"
#include "installer/steps/leave.h"
#include "installer/transaction.h"

void byoh_session_release(struct byoh_session *session)
{
	byoh_plan_free(session->plan);
	byoh_bundle_free(session->bundle);
	byoh_bundle_free(session->installed);
	byoh_mirror_free(session->mirror);
	byoh_arriving_release(&session->arriving);
	byoh_config_free(session->config);
	byoh_state_free(session->state);
	byoh_keyring_free(session->keyring);
	byoh_host_lock_free(session->lock);
	byoh_host_free(session->host);
	byoh_outside_free(session->outside);
	byoh_secret_free(session->options.token);
	byoh_ledger_free(session->ledger);
	free(session->accepted_id);
}

int byoh_session_enter_reader(struct byoh_session *session, struct byoh_error *err)
{
	int r = byoh_media_start(session, err);

	return r < 0 ? r : byoh_inside_only(err);
}

int byoh_session_enter_onlooker(struct byoh_session *session, struct byoh_error *err)
{
	int r = byoh_session_enter_reader(session, err);

	if (r == 0)
		r = byoh_confine(NULL, 0, err);
	return r < 0 ? r : 0;
}

int byoh_session_enter_host(struct byoh_session *session, struct byoh_error *err)
{
	const char *root = session->options.root;
	int r;

	if (!root && geteuid() != 0)
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, EPERM,
				 "%s looks at the host itself, and what lies there only root may read; run "
				 "it with sudo, or work in a folder with --root DIR", session->verb);
	r = byoh_media_start(session, err);
	if (r < 0)
		return r;
	r = root ? byoh_inside_only(err) : byoh_outside_start(&session->outside, err);
	if (r == 0)
		r = byoh_host_gather(root ? root : "/", session->outside, &session->host, err);
	/* It would be taken for the running host, with neither the rights nor the helper that this needs. */
	if (r == 0 && root && session->host->live)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "--root %s is the running system itself; leave --root away", root);
	if (r == 0)
		r = byoh_state_read(session->host, &session->state, err);
	if (r != -EACCES || geteuid() == 0)
		return r;
	return byoh_fail(err, BYOH_ERROR_PREFLIGHT, EACCES,
			 "what is installed below %s only root may read; run %s with sudo", root, session->verb);
}

int byoh_session_take_host(struct byoh_session *session, struct byoh_error *err)
{
	struct byoh_observer observer = byoh_report_recovery_observer(session);
	bool settled = false;
	int r = byoh_host_lock_take(session->host, &session->lock, err);

	if (r == 0)
		r = byoh_transaction_recover(session->host, &observer, &settled, err);
	if (r < 0)
		return r;
	/* An undo, or the end of a run that was cut off when it held already. */
	byoh_state_free(TAKE_PTR(session->state));
	r = byoh_state_read(session->host, &session->state, err);
	if (r < 0 || !settled)
		return r;
	byoh_log_begin(session->host->root_fd, session->verb);
	byoh_report_line(session, "an earlier run had been cut off; the host is as it was before that run");
	return 0;
}

int byoh_session_settle_host(struct byoh_session *session, struct byoh_error *err)
{
	int r = byoh_session_take_host(session, err);

	if (r != -EBUSY)
		return r;
	byoh_report_warning("%s; what follows may be half-way", err->message);
	*err = (struct byoh_error)BYOH_ERROR_INIT;
	return 0;
}

/* Without /proc (an empty chroot) the kernel still tells how the program was started. */
static int open_self(struct byoh_session *session, struct byoh_error *err)
{
	const char *name = (const char *)getauxval(AT_EXECFN);
	CLEANUP_FD int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0 && name)
		fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return byoh_fail_errno(err, "cannot open this executable");
	r = byoh_bundle_open_fd(fd, name ? name : "this executable", &session->bundle, err);
	if (r < 0)
		return r;
	fd = -1;
	session->bundle_is_self = true;
	return 0;
}

/* The root whose keys, policy and releases count. */
static int open_root(const struct byoh_session *session, struct byoh_error *err)
{
	const char *path = session->options.root ? session->options.root : "/";
	int fd;

	if (session->host)
		return byoh_open_beneath(session->host->root_fd, ".", O_PATH | O_DIRECTORY, 0, err);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? byoh_fail_errno(err, "cannot open %s", path) : fd;
}

static int open_kept_as(struct byoh_session *session, const char *id, struct byoh_bundle **ret,
			struct byoh_error *err)
{
	const char *root = session->options.root ? session->options.root : "";
	char path[BYOH_PATH_MAX];
	CLEANUP_FREE char *name = NULL;
	CLEANUP_FD int root_fd = -1, fd = -1;
	int r;

	if (!id)
		return byoh_fail(err, BYOH_ERROR_USAGE, ENOENT,
				 "no release is installed here; name a bundle with --from FILE");
	snprintf(path, sizeof(path), BYOH_HOME "/releases/%s/bundle", id);
	root_fd = open_root(session, err);
	if (root_fd < 0)
		return root_fd;
	fd = byoh_open_beneath(root_fd, path, O_RDONLY, 0, err);
	if (fd < 0)
		return byoh_error_wrap(err, fd, "the kept copy of the bundle is lost; bring it on a medium and "
						"install it with --from FILE");
	if (asprintf(&name, "%s%s", root, path) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = byoh_bundle_open_fd(fd, name, ret, err);
	if (r < 0)
		return r;
	fd = -1;
	return 0;
}

static int open_kept(struct byoh_session *session, const char *id, struct byoh_error *err)
{
	int r = open_kept_as(session, id, &session->bundle, err);

	session->bundle_is_kept = r == 0;
	return r;
}

/* A verb that only reads a bundle has gathered no facts; what is installed it learns only when it needs it. */
static int read_state(struct byoh_session *session, struct byoh_error *err)
{
	struct byoh_host host = {0};
	CLEANUP_FD int root_fd = -1;
	int r;

	if (session->host)
		return 0;
	root_fd = open_root(session, err);
	if (root_fd < 0)
		return root_fd;
	host.root_fd = root_fd;
	r = byoh_state_read(&host, &session->state, err);
	if (r != -EACCES)
		return r;
	return byoh_fail(err, BYOH_ERROR_PREFLIGHT, EACCES,
			 "there is no bundle behind this executable, and that of the installed release only root "
			 "may read; run it with sudo, or name a file");
}

/* There is no bundle behind this executable: the tool that stayed on the host means what is installed. */
static int fall_back(struct byoh_session *session, struct byoh_error *err)
{
	struct byoh_error lacking = err ? *err : (struct byoh_error)BYOH_ERROR_INIT;
	int r = read_state(session, err);

	if (r < 0)
		return r;
	if (!session->state || !session->state->release_id) {
		if (err)
			*err = lacking;
		if (err)
			err->kind = BYOH_ERROR_USAGE; /* nothing is damaged: no bundle was named */
		return -ENODATA;
	}
	if (err)
		*err = (struct byoh_error)BYOH_ERROR_INIT;
	r = open_kept(session, session->state->release_id, err);
	if (r == 0)
		byoh_report_line(session, "bundle: %s", byoh_bundle_name(session->bundle));
	return r;
}

static int open_any(struct byoh_session *session, const char *path, struct byoh_error *err)
{
	int r;

	if (path)
		return byoh_media_open(session, &path, 1, err);
	if (session->options.from_count)
		return byoh_media_open(session, session->options.from, session->options.from_count, err);
	r = open_self(session, err);
	return r == -ENODATA ? fall_back(session, err) : r;
}

static int add_given_keys(struct byoh_session *session, struct byoh_keyring *keyring, struct byoh_error *err)
{
	struct byoh_public_key key;
	int r = 0;

	for (size_t i = 0; i < session->options.key_count && r == 0; i++) {
		r = byoh_public_key_read(session->options.keys[i], &key, err);
		if (r == 0)
			r = byoh_keyring_add(keyring, &key, err);
	}
	return r;
}

/* Whom this host trusts: pinned and vendor keys, and --key for this run. */
static int make_keyring(struct byoh_session *session, int root, struct byoh_error *err)
{
	int r;

	byoh_keyring_free(session->keyring);
	session->keyring = byoh_keyring_new();
	if (!session->keyring)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = byoh_signers_add_trusted(session->keyring, root, err);
	if (r == -EACCES)
		byoh_error_remedy(err, "only root may read whom this host trusts; run it with sudo");
	if (r < 0)
		return r;
	session->host_has_pins = byoh_keyring_count(session->keyring) > 0;
	return add_given_keys(session, session->keyring, err);
}

/* The key inside a .run counts only on a host that has pinned none: the operator who starts the file has
 * decided to trust it, and is shown whom. */
static int trust_self(struct byoh_session *session, struct byoh_error *err)
{
	size_t count;

	if (session->host_has_pins || session->options.key_count || !session->bundle_is_self)
		return 0;
	/* Anybody can add a signature to a good file; a stranger's must not be pinned along with the
	 * publisher's. */
	byoh_bundle_signatures(session->bundle, &count);
	if (count > 1)
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				 "the bundle is signed by %zu keys and this host trusts none yet; name those "
				 "to trust with --key FILE (`inspect --signatures` lists them)",
				 count);
	return byoh_bundle_add_signers(session->bundle, session->keyring, err);
}

/* A host with a release trusted somebody once: without that key it would take the next medium's word for whom to
 * trust, so its loss is drift. Of several signers nobody knows any more which one it was. */
static int note_pins(struct byoh_session *session, struct byoh_error *err)
{
	const struct byoh_signature *signatures;
	size_t count;
	int r = 0;

	if (session->host_has_pins)
		return 0;
	signatures = byoh_bundle_signatures(session->bundle, &count);
	if (session->bundle_is_kept && count > 1)
		return 0;
	for (size_t i = 0; i < count && session->pin_count < BYOH_SESSION_KEYS_MAX && r == 0; i++) {
		if (!byoh_keyring_has(session->keyring, &signatures[i].key))
			continue;
		session->pins[session->pin_count++] = signatures[i].key;
		if (!session->bundle_is_kept)
			r = byoh_report_key(session, &signatures[i].key, err);
	}
	return r;
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* What is installed, or kept to go back to, has been accepted once: it may lie below the floor. */
static bool is_accepted(const struct byoh_session *session)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(byoh_bundle_id(session->bundle), hex);
	return is_same_text(session->accepted_id, hex) ||
	       (session->state && is_same_text(session->state->release_id, hex));
}

/* A release that was accepted with --key, on a host that trusts others, stays what is installed. */
static int trust_kept(struct byoh_session *session, struct byoh_error *err)
{
	if (!session->bundle_is_kept || !is_accepted(session))
		return 0;
	return byoh_bundle_add_signers(session->bundle, session->keyring, err);
}

/* Everybody who counts in this run, less the revoked ones. These go last: a host that took a key back and
 * was left without any must not take it from a .run again. */
static int decide_trust(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP_FD int root = open_root(session, err);
	int r = root < 0 ? root : make_keyring(session, root, err);

	if (r == 0)
		r = trust_self(session, err);
	if (r == 0)
		r = trust_kept(session, err);
	if (r == 0)
		r = byoh_signers_remove_revoked(session->keyring, root, err);
	return r < 0 ? r : byoh_discover_policy(root, &session->policy, err);
}

static int check_floor(const struct byoh_session *session, struct byoh_error *err)
{
	const struct byoh_manifest *manifest = byoh_bundle_manifest(session->bundle);
	uint64_t floor = byoh_state_floor(session->state, manifest->name);

	if (manifest->epoch >= floor || is_accepted(session))
		return 0;
	return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
			 "%s: epoch %llu of %s is below this host's floor %llu: an older release "
			 "with a known fault is not installed again",
			 byoh_bundle_name(session->bundle), (unsigned long long)manifest->epoch, manifest->name,
			 (unsigned long long)floor);
}

int byoh_session_pinned_keys(struct byoh_session *session, struct byoh_keyring **ret, struct byoh_error *err)
{
	CLEANUP_KEYRING struct byoh_keyring *keyring = byoh_keyring_new();
	CLEANUP_FD int root = open_root(session, err);
	int r = root < 0 ? root : keyring ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");

	if (r == 0)
		r = byoh_signers_add_trusted(keyring, root, err);
	if (r == 0)
		r = add_given_keys(session, keyring, err);
	if (r == 0)
		r = byoh_signers_remove_revoked(keyring, root, err);
	if (r == 0)
		*ret = TAKE_PTR(keyring);
	return r;
}

static int authenticate(struct byoh_session *session, struct byoh_error *err)
{
	int r = decide_trust(session, err);

	if (r == 0)
		r = byoh_bundle_authenticate(session->bundle, session->keyring, session->policy.threshold,
					     err);
	if (r == 0)
		r = note_pins(session, err);
	return r < 0 ? r : check_floor(session, err);
}

int byoh_session_check_floor(struct byoh_session *session, struct byoh_error *err)
{
	int r = session->state ? 0 : read_state(session, err);

	return r < 0 ? r : check_floor(session, err);
}

int byoh_session_open_bundle(struct byoh_session *session, const char *path, struct byoh_error *err)
{
	int r = open_any(session, path, err);

	return r < 0 ? r : authenticate(session, err);
}

int byoh_session_open_stranger(struct byoh_session *session, const char *path, struct byoh_error *err)
{
	return open_any(session, path, err);
}

/* Nobody of the host's need be known to whoever may not look into its folders; the bundle can be looked at. */
int byoh_session_read_signers(struct byoh_session *session, struct byoh_signers **ret, struct byoh_error *err)
{
	CLEANUP_FD int root = open_root(session, err);
	int r = root < 0 ? root : 0;

	*ret = NULL;
	byoh_keyring_free(session->keyring);
	session->keyring = byoh_keyring_new();
	if (r == 0 && !session->keyring)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (r == 0)
		r = add_given_keys(session, session->keyring, err);
	if (r == 0)
		r = byoh_signers_read(root, session->keyring, ret, err);
	if (r == 0)
		r = byoh_discover_policy(root, &session->policy, err);
	if (r != -EACCES)
		return r;
	byoh_signers_freep(ret);
	*ret = NULL;
	byoh_report_warning("only root may read whom this host trusts; run it with sudo to see that too");
	if (err)
		*err = (struct byoh_error)BYOH_ERROR_INIT;
	return 0;
}

int byoh_session_open_installed(struct byoh_session *session, struct byoh_error *err)
{
	int r = open_kept(session, session->state ? session->state->release_id : NULL, err);

	return r < 0 ? r : authenticate(session, err);
}

int byoh_session_attach_base(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP_FD int root = byoh_bundle_is_delta(session->bundle) ? open_root(session, err) : -1;

	if (!byoh_bundle_is_delta(session->bundle))
		return 0;
	return root < 0 ? root : byoh_base_attach(root, session->bundle, err);
}

/* What is installed may need nothing of its base: a repair that does finds out. */
static int need_base(struct byoh_session *session, struct byoh_error *err)
{
	int r = session->looks_only ? 0 : byoh_session_attach_base(session, session->bundle_is_kept ? NULL : err);

	return session->bundle_is_kept ? 0 : r;
}

int byoh_session_open_release(struct byoh_session *session, const char *id, struct byoh_error *err)
{
	int r;

	free(session->accepted_id);
	session->accepted_id = strdup(id);
	if (!session->accepted_id)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = open_kept(session, id, err);
	return r < 0 ? r : authenticate(session, err);
}

/* The config's bytes are read once: what the signature was checked over is what is used. */
static int read_config(struct byoh_session *session, const char *path, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer signature = {0};
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = {0};
	int r = byoh_config_read_text(path, &text, err);

	if (r == 0)
		r = byoh_discover_check_signature(path, &text, session->keyring, &signature, err);
	if (r == 0)
		r = byoh_config_load_read(path, &text, &session->host->identity, &session->config, err);
	if (r < 0)
		return r;
	session->config->signature = signature;
	signature = (struct byoh_buffer){0};
	return 0;
}

/* The bundle was authenticated before there was a config; one that asks for more signatures gets them. */
static int apply_policy(struct byoh_session *session, struct byoh_error *err)
{
	const struct byoh_config *config = session->config;
	int r = byoh_discover_check_policy(&session->policy, config, config->signature.size > 0, err);

	if (r < 0 || config->policy.threshold == session->policy.threshold)
		return r;
	r = byoh_bundle_authenticate(session->bundle, session->keyring,
				     (unsigned int)config->policy.threshold, err);
	return r < 0 ? byoh_error_wrap(err, r, "policy.threshold of %s", config->path) : 0;
}

int byoh_session_use_config(struct byoh_session *session, struct byoh_config *config, struct byoh_error *err)
{
	byoh_config_free(session->config);
	session->config = config;
	return apply_policy(session, err);
}

static int load_found(struct byoh_session *session, const struct byoh_config_place *place,
		      struct byoh_error *err)
{
	int r;

	if (!place->path) {
		if (!session->state)
			byoh_report_line(session,
					 "no configuration was found: the host is prepared and joins nothing");
		return byoh_config_default(&session->config, err);
	}
	byoh_report_line(session, "configuration: %s", place->name ? place->name : place->path);
	r = read_config(session, place->path, err);
	if (r == 0)
		r = apply_policy(session, err);
	if (r < 0)
		return place->name ? byoh_error_wrap(err, r, "%s", place->name) : r;
	return byoh_discover_late_credentials(session->host, session->config, err);
}

int byoh_session_load_config(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP(byoh_config_place_release) struct byoh_config_place place;
	int r = byoh_discover_config(session->host, session->options.config, &place, err);

	return r < 0 ? r : load_found(session, &place, err);
}

int byoh_session_load_kept_config(struct byoh_session *session, bool previous, struct byoh_error *err)
{
	const char *folder = previous ? BYOH_PREVIOUS_FOLDER "/config" : BYOH_CONFIG_FOLDER;
	const char *root = session->options.root ? session->options.root : "";
	CLEANUP_FREE char *path = NULL;
	int r;

	if (asprintf(&path, "%s%s/byoh.yaml", root, folder) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (!byoh_exists_beneath(session->host->root_fd, path + strlen(root)))
		return byoh_config_default(&session->config, err);
	r = read_config(session, path, err);
	return r < 0 ? r : byoh_discover_late_credentials(session->host, session->config, err);
}

int byoh_session_confirm(const struct byoh_session *session, const char *question, struct byoh_error *err)
{
	char answer[16] = "";

	if (session->options.yes)
		return 0;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "%s asks before it changes anything, and there is no terminal to ask on; say --yes",
				 session->verb);
	fprintf(stderr, "%s [y/N] ", question);
	if (!fgets(answer, sizeof(answer), stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
		return byoh_fail(err, BYOH_ERROR_USAGE, ECANCELED, "nothing was changed");
	return 0;
}

static void report_note(void *context, const char *message)
{
	const struct byoh_session *session = context;

	byoh_report_line(session, "%s", message);
}

/* An agent that is up starts services behind our back. */
static int hold_agent(struct byoh_session *session, struct byoh_error *err)
{
	const struct byoh_action_context context = { .host = session->host, .plan = session->plan };
	struct byoh_step step = { .name = "hold-agent" };
	int r;

	if (!session->host->systemd_running || !byoh_leave_holds_agent(session->plan))
		return 0;
	r = byoh_leave_hold_agent(&step, err);
	/* The rest of the plan has been looked at, and that may have read every file. */
	for (size_t i = 0; i < step.action_count && r == 0; i++)
		r = byoh_action_check(&context, &step.actions[i], err);
	if (r == 0)
		r = byoh_plan_add_early(session->plan, &step, err);
	byoh_step_release(&step);
	return r;
}

static int complete_plan(struct byoh_session *session, struct byoh_error *err)
{
	struct byoh_restore_input restore = { .host = session->host, .ledger = session->ledger,
					      .note = session->looks_only ? NULL : report_note,
					      .context = session };
	int r = byoh_restore_rest(&restore, session->plan, err);

	if (r == 0)
		r = byoh_plan_check(session->plan, &session->plan_input, &session->changes, err);
	if (r < 0 || session->looks_only)
		return r;
	r = byoh_restore_save_changed(&restore, session->plan, err);
	return r < 0 ? r : hold_agent(session, err);
}

static bool is_installed(const struct byoh_session *session)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(byoh_bundle_id(session->bundle), hex);
	return is_same_text(session->state->release_id, hex);
}

/* What is installed or kept here has been taken once: to go back to it is the way out of trouble. */
static int check_lasting_trust(const struct byoh_session *session, struct byoh_error *err)
{
	const struct byoh_lasting_trust input = {
		.root_fd = session->host->root_fd,
		.plan = session->plan,
		.pins = session->pins,
		.pin_count = session->pin_count,
		.bundle = session->bundle,
		.threshold = (unsigned int)session->config->policy.threshold,
	};

	if (session->looks_only || session->bundle_is_kept || (session->state && is_installed(session)))
		return 0;
	return byoh_lasting_trust_check(&input, err);
}

/* Only root could put it there, so whoever signed it will do. A lost one is no obstacle: the state tells
 * enough to decide by. */
static const struct byoh_manifest *installed_manifest(struct byoh_session *session)
{
	CLEANUP_KEYRING struct byoh_keyring *signers = byoh_keyring_new();

	if (!session->installed && signers &&
	    open_kept_as(session, session->state->release_id, &session->installed, NULL) == 0 &&
	    (byoh_bundle_add_signers(session->installed, signers, NULL) < 0 ||
	     byoh_bundle_authenticate(session->installed, signers, 1, NULL) < 0))
		byoh_bundle_free(TAKE_PTR(session->installed));
	return session->installed ? byoh_bundle_manifest(session->installed) : NULL;
}

static const struct byoh_upgrade *find_upgrade(struct byoh_session *session)
{
	const struct byoh_options *options = &session->options;

	if (!session->state || !session->state->release_id)
		return NULL;
	session->upgrade = (struct byoh_upgrade){
		.name = session->state->name,
		.version = session->state->version,
		.kubernetes = session->state->kubernetes,
		.same = is_installed(session),
		.back = session->goes_back,
		.drain = options->drain,
		.drained = options->drained,
		.allow_downgrade = options->allow_downgrade,
	};
	session->upgrade.manifest = session->upgrade.same ? byoh_bundle_manifest(session->bundle) :
							    installed_manifest(session);
	return &session->upgrade;
}

/* Reading every file takes its time: with a bar, and an end by Ctrl-C. */
static int read_host(struct byoh_session *session, struct byoh_error *err)
{
	const struct byoh_progress progress = { byoh_bar_report, &session->bar, session->cancel };
	int r;

	session->bar = byoh_bar_start("Reading", session->options.quiet || session->options.json);
	session->plan_input.progress = &progress;
	r = complete_plan(session, err);
	session->plan_input.progress = NULL;
	byoh_report_end_progress(session);
	return r;
}

int byoh_session_make_plan(struct byoh_session *session, struct byoh_error *err)
{
	int r = need_base(session, err);

	if (r < 0)
		return r;
	byoh_ledger_free(TAKE_PTR(session->ledger));
	if (session->options.adopt_node && session->config->join_mode != BYOH_JOIN_AGENT)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "--adopt-node gives a node to the agent, and the configuration has join.mode %s; leave "
				 "it out", byoh_join_mode_name(session->config->join_mode));
	r = byoh_ledger_read(session->host, &session->ledger, err);
	if (r == 0) /* a mere look waits for no server */
		r = byoh_pod_cidr_find(session->host, session->config, !session->looks_only, &session->pod_cidr, err);
	if (r < 0)
		return r;

	session->plan_input = (struct byoh_plan_input){
		.config = session->config,
		.host = session->host,
		.manifest = byoh_bundle_manifest(session->bundle),
		.index = byoh_bundle_index(session->bundle),
		.release_id = byoh_bundle_id(session->bundle),
		.pins = session->pins,
		.pin_count = session->pin_count,
		.ledger = session->ledger,
		.upgrade = find_upgrade(session),
		.pod_cidr = session->pod_cidr.cidr,
		.pod_cidr_source = session->pod_cidr.source,
		.adopt_node = session->options.adopt_node,
		.thorough = session->thorough,
	};
	byoh_plan_free(TAKE_PTR(session->plan));
	r = byoh_plan_make(&session->plan_input, &session->plan, err);
	if (r == 0)
		r = byoh_late_complete(&session->plan_input, session->options.again, session->plan, err);
	if (r < 0)
		return r;
	r = session->thorough ? read_host(session, err) : complete_plan(session, err);
	return r < 0 ? r : check_lasting_trust(session, err);
}
