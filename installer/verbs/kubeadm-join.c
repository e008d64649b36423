/* SPDX-License-Identifier: Apache-2.0 */
/* For byoh-kubeadm-join.service: one attempt to join. It is no part of an installation and takes no lock, since the
 * installation may be waiting for it; and it stays in the host's network, which kubeadm needs. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>

#include "bundle/base/cleanup.h"
#include "installer/kubeadm-config.h"
#include "installer/report.h"
#include "installer/steps/kubeadm-join.h"
#include "installer/verbs/verbs.h"

/* Its unit tries again after a 1, and after nothing else. */
static int tell(const struct byoh_session *session, const struct byoh_kubeadm_verdict *verdict, struct byoh_error *err)
{
	if (verdict->outcome == BYOH_KUBEADM_JOINED) {
		byoh_report_line(session, "%s", verdict->cause[0] ? verdict->cause : "done");
		return 0;
	}
	return byoh_fail(err, verdict->outcome == BYOH_KUBEADM_LATER ? BYOH_ERROR_SYSTEM : BYOH_ERROR_PREFLIGHT,
			 ENOTCONN, "kubeadm join: %s; %s", verdict->cause, verdict->remedy);
}

static int check_use(const struct byoh_session *session, bool *ret_agent, struct byoh_error *err)
{
	const struct byoh_options *options = &session->options;

	*ret_agent = options->argument_count && strcmp(options->arguments[0], "agent") == 0;
	if (options->root || (options->argument_count && !*ret_agent))
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "kubeadm-join is for " BYOH_KUBEADM_UNIT);
	if (geteuid() != 0)
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, EPERM, "kubeadm-join needs root");
	return 0;
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	struct byoh_kubeadm_join join = { .program = BYOH_BIN_KUBEADM, .config = BYOH_KUBEADM_CONFIG,
					  .proc = "/proc", .live = true, .cancel = session->cancel };
	struct byoh_kubeadm_verdict verdict;
	CLEANUP_FD int root = -1;
	struct utsname names;
	bool agent = false;
	int r = check_use(session, &agent, err);

	if (r < 0)
		return r;
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || uname(&names) < 0)
		return byoh_fail_errno(err, "cannot look at this host");
	join.root_fd = root;
	join.host_name = names.nodename;
	r = agent ? byoh_kubeadm_for_agent(&join, &verdict, err) : byoh_kubeadm_attempt(&join, &verdict, err);
	return r < 0 ? r : tell(session, &verdict, err);
}

const struct byoh_verb byoh_verb_kubeadm_join = {
	"kubeadm-join", "[agent]", NULL, "", 1, run,
};
