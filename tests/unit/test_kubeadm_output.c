/* SPDX-License-Identifier: Apache-2.0 */
/* What kubeadm printed, in our own words. Those of 1.20.2 are taken from runs of it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/kubeadm-output.h"

#define PREFLIGHT "[preflight] Running pre-flight checks\n"
#define FATAL PREFLIGHT "error execution phase preflight: [preflight] Some fatal errors occurred:\n"
#define NO_NAME \
	"\t[WARNING Hostname]: hostname \"vm\": lookup vm on [::1]:53: read udp [::1]:5->[::1]:53: read: connection refused\n"
#define IDENTITY PREFLIGHT NO_NAME "error execution phase preflight: couldn't validate the identity of the API Server: "
#define ADVICE "\nTo see the stack trace of this error execute with --v=5 or higher\n"

static struct byoh_kubeadm_verdict judged;

static void judge(const char *text)
{
	byoh_kubeadm_judge(1, text, &judged);
}

static void prose_has_a_cause_and_a_remedy(void **state)
{
	static const struct {
		const char *output;
		enum byoh_kubeadm_outcome outcome;
		const char *cause, *remedy;
	} rows[] = {
		{ IDENTITY "could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\"" ADVICE,
		  BYOH_KUBEADM_FAILED, "does not know the token", "byoh-install join --token-file" },
		{ PREFLIGHT "error execution phase preflight: unable to fetch the kubeadm-config ConfigMap: failed to get "
			    "config map: Unauthorized" ADVICE,
		  BYOH_KUBEADM_FAILED, "expired", "kubeadm token create" },
		{ IDENTITY "failed to verify JWS signature of received cluster info object, can't trust this API Server" ADVICE,
		  BYOH_KUBEADM_FAILED, "secret half of the token", "cluster.server" },
		{ IDENTITY "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"sha256:c4\" are "
			   "pinned" ADVICE,
		  BYOH_KUBEADM_FAILED, "cluster.ca.pin", "--print-join-command" },
		{ "I1121 1 file.go:9] [discovery] Failed to request cluster-info, will try again: Get \"https://a\": x509: "
		  "certificate signed by unknown authority\n" IDENTITY
		  "Abort reading the cluster-info ConfigMap after timeout of 8s" ADVICE,
		  BYOH_KUBEADM_FAILED, "not made by cluster.ca", "--ca FILE" },
		{ "will try again: x509: certificate is valid for 10.99.0.1, not 127.0.0.1\n" IDENTITY "Abort reading the "
		  "cluster-info ConfigMap after timeout of 8s" ADVICE,
		  BYOH_KUBEADM_FAILED, "does not name the host", "cluster.server" },
		{ "x509: certificate has expired or is not yet valid: current time 2001\n", BYOH_KUBEADM_FAILED, "clock",
		  "date -u" },
		{ IDENTITY "Get \"https://10.99.0.1:6444/api\": dial tcp 10.99.0.1:6444: connect: connection refused" ADVICE,
		  BYOH_KUBEADM_LATER, "nobody answers", "cluster.server" },
		{ IDENTITY "Abort reading the cluster-info ConfigMap after timeout of 8s" ADVICE, BYOH_KUBEADM_LATER,
		  "did not answer", "network" },
		{ "dial tcp: lookup nowhere.lan: no such host\n", BYOH_KUBEADM_LATER, "cannot be resolved", "host.hosts" },
		{ "will try again: Get \"https://nowhere.lan:6443/api\": dial tcp: lookup nowhere.lan on [::1]:53: read udp "
		  "[::1]:5->[::1]:53: read: connection refused\n",
		  BYOH_KUBEADM_LATER, "cannot be resolved", "host.hosts" },
		{ "will try again: Get \"https://10.99.0.77:6443/api\": dial tcp 10.99.0.77:6443: connect: no route to host\n",
		  BYOH_KUBEADM_LATER, "no way to the server", "network" },
		{ PREFLIGHT "error execution phase preflight: unable to fetch the kubeadm-config ConfigMap: failed to get "
			    "config map: configmaps \"kubeadm-config\" is forbidden: User \"system:bootstrap:3dqc5y\" cannot "
			    "get resource" ADVICE,
		  BYOH_KUBEADM_FAILED, "default-node-token", "kubeadm token create" },
		{ "failed to get config map: configmaps \"kubeadm-config\" not found\n", BYOH_KUBEADM_FAILED,
		  "not set up by kubeadm", "tlsBootstrap" },
		{ "configmaps \"kubelet-config-1.20\" is forbidden: User\n", BYOH_KUBEADM_FAILED, "another version",
		  "bundle of the cluster's version" },
		{ "no kind \"JoinConfiguration\" is registered for version \"kubeadm.k8s.io/v1beta4\" in scheme\n",
		  BYOH_KUBEADM_FAILED, "so new a JoinConfiguration", "version" },
		{ "error execution phase kubelet-start: a Node with name \"worker\" and status \"Ready\" already exists in "
		  "the cluster. You must delete the existing Node\n",
		  BYOH_KUBEADM_FAILED, "Ready node of this host's name", "kubectl delete node" },
		{ "[kubelet-check] The HTTP call equal to 'curl' failed\n\tUnfortunately, an error has occurred:\n\t- The "
		  "kubelet isn't running or healthy\nerror execution phase kubelet-start: timed out waiting for the "
		  "condition\n",
		  BYOH_KUBEADM_FAILED, "kubelet does not start", "journalctl -u kubelet" },
		{ "error execution phase kubelet-start: timed out waiting for the condition\n", BYOH_KUBEADM_LATER,
		  "nobody has approved", "kubectl get csr" },
		{ "error execution phase kubelet-start: error uploading crisocket: timed out waiting for the condition\n",
		  BYOH_KUBEADM_LATER, "did not appear", "kubectl get csr" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		judge(rows[i].output);
		if (judged.outcome != rows[i].outcome || !strstr(judged.cause, rows[i].cause) ||
		    !strstr(judged.remedy, rows[i].remedy))
			fail_msg("outcome %d, \"%s\", \"%s\" for:\n%s", judged.outcome, judged.cause, judged.remedy,
				 rows[i].output);
	}
}

static void checks_have_names(void **state)
{
	static const struct {
		const char *output;
		enum byoh_kubeadm_outcome outcome;
		const char *cause;
	} rows[] = {
		{ FATAL "\t[ERROR Swap]: running with swap on is not supported. Please disable swap\n", BYOH_KUBEADM_FAILED,
		  "swap is on" },
		{ FATAL "\t[ERROR Port-10250]: Port 10250 is in use\n", BYOH_KUBEADM_FAILED, "a kubelet runs" },
		{ FATAL "\t[ERROR FileAvailable--etc-kubernetes-kubelet.conf]: /etc/kubernetes/kubelet.conf already exists\n",
		  BYOH_KUBEADM_FAILED, "is or was a node" },
		{ FATAL "\t[ERROR FileAvailable--etc-kubernetes-pki-ca.crt]: /etc/kubernetes/pki/ca.crt already exists\n",
		  BYOH_KUBEADM_FAILED, "FileAvailable--etc-kubernetes-pki-ca.crt: /etc/kubernetes/pki/ca.crt already exists" },
		{ FATAL "\t[ERROR CRI]: container runtime is not running: output: x\n", BYOH_KUBEADM_LATER, "containerd" },
		{ FATAL "\t[ERROR FileExisting-mount]: mount not found in system path\n", BYOH_KUBEADM_FAILED,
		  "mount not found" },
		{ FATAL "\t[ERROR Unheard]: of\n", BYOH_KUBEADM_FAILED, "Unheard: of" },
		{ FATAL "\t[ERROR SystemVerification]: unsupported kernel release: 6.1.0-41-amd64\n", BYOH_KUBEADM_KERNEL,
		  "kernel" },
		{ FATAL "\t[ERROR SystemVerification]: unsupported kernel release: 6.1.0-41-amd64\n"
			"\t[ERROR SystemVerification]: missing required cgroups: memory\n",
		  BYOH_KUBEADM_FAILED, "missing required cgroups: memory" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		judge(rows[i].output);
		if (judged.outcome != rows[i].outcome || !strstr(judged.cause, rows[i].cause) || !judged.remedy[0])
			fail_msg("outcome %d, \"%s\", \"%s\" for:\n%s", judged.outcome, judged.cause, judged.remedy,
				 rows[i].output);
	}
}

static void what_nobody_foresaw_is_quoted_without_tokens(void **state)
{
	(void)state;
	judge("noise\nerror: something about abcdef.0123456789abcdef\033[2J\nTo see the stack trace\n");
	assert_int_equal(judged.outcome, BYOH_KUBEADM_FAILED);
	assert_non_null(strstr(judged.cause, "something about abcdef.****************"));
	assert_null(strchr(judged.cause, '\033'));
	byoh_kubeadm_judge(137, "", &judged);
	assert_string_equal(judged.cause, "kubeadm failed with status 137");
	assert_non_null(strstr(judged.remedy, "kubeadm-join.log"));
}

static void success_is_success(void **state)
{
	(void)state;
	byoh_kubeadm_judge(0, PREFLIGHT NO_NAME "This node has joined the cluster:\n", &judged);
	assert_int_equal(judged.outcome, BYOH_KUBEADM_JOINED);
	assert_string_equal(judged.cause, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prose_has_a_cause_and_a_remedy),
		cmocka_unit_test(checks_have_names),
		cmocka_unit_test(what_nobody_foresaw_is_quoted_without_tokens),
		cmocka_unit_test(success_is_success),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
