/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for what becomes of a join, with a cluster that is played here. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/agent-config.h"
#include "installer/credentials.h"
#include "installer/csr.h"
#include "installer/join-wait.h"
#include "installer/kubernetes-config.h"
#include "tests/unit/api-server.h"
#include "tests/unit/certificates.h"
#include "tests/unit/root-fixture.h"

#define TOKEN "abcdef.0123456789abcdef"
#define CLIENT "/var/lib/kubelet/pki/kubelet-client-current.pem"

struct cluster {
	unsigned int asked, status; /* 0: 200 */
	const char *request_status;
	char request[2048]; /* base64; empty: there is none */
};

static void answer(const struct test_server *server, unsigned int count, SSL *tls, const char *request)
{
	struct cluster *cluster = (struct cluster *)server->context;
	bool list = strstr(request, "GET /apis/certificates.k8s.io/v1/certificatesigningrequests?") != NULL;
	struct byoh_buffer text = { 0 };

	(void)count;
	CHECK(strstr(request, "Authorization: Bearer " TOKEN "\r\n"));
	cluster->asked++;
	CHECK(byoh_buffer_printf(&text, NULL, "HTTP/1.1 %u X\r\n\r\n", cluster->status ? cluster->status :
				 list || cluster->request[0] ? 200 : 404) == 0);
	CHECK(byoh_buffer_printf(&text, NULL, "%s", list ? "items:\n- " : "") == 0);
	if (cluster->request[0])
		CHECK(byoh_buffer_printf(&text, NULL,
					 "{metadata: {name: csr-one}, spec: {signerName: %s, username: 'system:bootstrap:"
					 "abcdef', request: %s}, status: %s}\n",
					 list ? "kubernetes.io/kube-apiserver-client-kubelet" :
						"kubernetes.io/kube-apiserver-client",
					 cluster->request, cluster->request_status) == 0);
	test_server_write(tls, text.data);
}

struct scene {
	struct test_identity id;
	struct test_server server;
	struct cluster *cluster;
	struct test_root root;
	struct byoh_host host;
	struct byoh_config config;
	struct byoh_session session;
	struct byoh_buffer key;
	atomic_bool cancel;
};

static void begin(struct scene *scene, enum byoh_join_mode mode)
{
	memset(scene, 0, sizeof(*scene));
	scene->id = test_identity_make(&test_validity_usual);
	scene->cluster = mmap(NULL, sizeof(*scene->cluster), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(scene->cluster != MAP_FAILED);
	scene->server = (struct test_server){ .answer = answer, .id = &scene->id, .context = scene->cluster };
	test_root_make(&scene->root);
	test_server_begin(&scene->server);
	scene->host.root_fd = scene->root.fd;
	scene->host.hostname = (char *)"Node10";
	scene->host.outside = scene->server.outside;
	scene->config.join_mode = mode;
	scene->config.cluster.server = scene->server.url;
	scene->config.cluster.ca = test_identity_pem(&scene->id);
	scene->config.cluster.token = (char *)TOKEN;
	scene->session.config = &scene->config;
	scene->session.host = &scene->host;
	scene->session.options.quiet = true;
	scene->session.cancel = &scene->cancel;
	CHECK(byoh_csr_make_key(&scene->key, NULL) == 0);
}

static void end(struct scene *scene)
{
	test_server_end(&scene->server);
	test_root_remove(&scene->root);
}

static void request(struct scene *scene, const char *common_name, const char *status)
{
	const struct byoh_csr_subject subject = { .common_name = common_name };
	struct byoh_buffer pem = { 0 }, encoded = { 0 };

	CHECK(byoh_csr_make(&scene->key, &subject, &pem, NULL) == 0);
	CHECK(byoh_base64_encode(pem.data, pem.size, &encoded, NULL) == 0);
	snprintf(scene->cluster->request, sizeof(scene->cluster->request), "%s", encoded.data);
	scene->cluster->request_status = status;
}

static struct byoh_join_look waits(struct scene *scene, unsigned int seconds, enum byoh_join_reason expected)
{
	struct byoh_join_look look;
	struct byoh_error err = BYOH_ERROR_INIT;
	int r = byoh_join_wait(&scene->session, seconds, &look, &err);

	if (r || look.reason != expected)
		fprintf(stderr, "%d: %s; %d (%s)\n", r, err.message, (int)look.reason, look.detail);
	CHECK(r == 0 && look.reason == expected);
	CHECK(!strstr(look.detail, "0123456789abcdef"));
	return look;
}

static void put_kubelet_certificate(const struct scene *scene, long until)
{
	char *pem = test_certificate_between(false, NULL, -100, until);

	test_root_put(&scene->root, BYOH_KUBELET_KUBECONFIG,
		      "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n"
		      "clusters: [{name: c, cluster: {server: s}}]\nusers: [{name: u, user: {client-certificate: " CLIENT "}}]\n",
		      0600);
	test_root_put(&scene->root, CLIENT, pem, 0600);
}

static void kubelet(void)
{
	struct byoh_join_look look;
	struct scene scene;

	begin(&scene, BYOH_JOIN_TLS_BOOTSTRAP);
	CHECK(byoh_join_try(&scene.session, &look, NULL) == 0 && look.reason == BYOH_JOIN_STARTED);
	CHECK(!byoh_join_is_joined(&scene.session));
	waits(&scene, 0, BYOH_JOIN_NO_REQUEST);
	request(&scene, "system:node:node11", "{}");
	waits(&scene, 0, BYOH_JOIN_NO_REQUEST);
	request(&scene, "system:node:node10", "{}");
	look = waits(&scene, 0, BYOH_JOIN_UNAPPROVED);
	CHECK(!strcmp(look.csr.name, "csr-one") && !look.agent);
	request(&scene, "system:node:node10", "{conditions: [{type: Approved}]}");
	waits(&scene, 0, BYOH_JOIN_UNSIGNED);
	/* What is decided is not waited for. */
	request(&scene, "system:node:node10", "{conditions: [{type: Denied, reason: No}]}");
	waits(&scene, 600, BYOH_JOIN_DENIED);
	scene.cluster->status = 401;
	waits(&scene, 600, BYOH_JOIN_TOKEN);
	CHECK(byoh_join_try(&scene.session, &look, NULL) == 0 && look.reason == BYOH_JOIN_TOKEN);
	/* Rights may come: it asks now and then, at most. */
	scene.cluster->status = 403;
	scene.cluster->asked = 0;
	waits(&scene, 2, BYOH_JOIN_RIGHTS);
	CHECK(scene.cluster->asked >= 1 && scene.cluster->asked <= 2);
	scene.cluster->status = 0;
	/* A certificate that has run out is none; one that holds ends it, whatever the server says. */
	put_kubelet_certificate(&scene, -10);
	CHECK(!byoh_join_is_joined(&scene.session));
	waits(&scene, 600, BYOH_JOIN_DENIED);
	put_kubelet_certificate(&scene, 1000);
	CHECK(byoh_join_is_joined(&scene.session));
	scene.cluster->asked = 0;
	waits(&scene, 600, BYOH_JOIN_JOINED);
	CHECK(scene.cluster->asked == 0);
	end(&scene);
}

static void agent(void)
{
	struct byoh_buffer other = { 0 };
	struct byoh_join_look look;
	struct scene scene;

	begin(&scene, BYOH_JOIN_AGENT);
	waits(&scene, 0, BYOH_JOIN_NO_REQUEST);
	request(&scene, "byoh:host:Node10", "{}");
	look = waits(&scene, 0, BYOH_JOIN_UNAPPROVED);
	CHECK(look.agent);
	test_root_put(&scene.root, BYOH_AGENT_KEY, scene.key.data, 0600);
	waits(&scene, 0, BYOH_JOIN_UNAPPROVED);
	/* An earlier life of this host. */
	CHECK(byoh_csr_make_key(&other, NULL) == 0);
	test_root_put(&scene.root, BYOH_AGENT_KEY, other.data, 0600);
	waits(&scene, 0, BYOH_JOIN_FOREIGN);
	test_root_put(&scene.root, BYOH_AGENT_CONFIG, "rubbish", 0600);
	scene.cluster->asked = 0;
	look = waits(&scene, 600, BYOH_JOIN_STALE);
	CHECK(scene.cluster->asked == 0 && strstr(look.detail, BYOH_AGENT_CONFIG));
	end(&scene);
}

static void away(void)
{
	struct byoh_join_look look;
	struct scene scene;
	siginfo_t ended;

	begin(&scene, BYOH_JOIN_TLS_BOOTSTRAP);
	scene.config.cluster.ca = test_identity_pem(&(struct test_identity){ .certificate =
		test_identity_make(&test_validity_usual).certificate });
	CHECK(byoh_join_try(&scene.session, &look, NULL) == 0 && look.reason == BYOH_JOIN_STRANGER);
	/* Its socket listens until it is gone. */
	kill(scene.server.pid, SIGKILL);
	CHECK(waitid(P_PID, (id_t)scene.server.pid, &ended, WEXITED | WNOWAIT) == 0);
	CHECK(byoh_join_try(&scene.session, &look, NULL) == 0 && look.reason == BYOH_JOIN_UNREACHABLE);
	waits(&scene, 1, BYOH_JOIN_UNREACHABLE);
	/* Ctrl-C ends it, and is no failure. */
	atomic_store(&scene.cancel, true);
	waits(&scene, 600, BYOH_JOIN_UNREACHABLE);
	end(&scene);
}

static void test_kubelet(void **state)
{
	(void)state;
	test_in_child(kubelet);
}

static void test_agent(void **state)
{
	(void)state;
	test_in_child(agent);
}

static void test_away(void **state)
{
	(void)state;
	test_in_child(away);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kubelet),
		cmocka_unit_test(test_agent),
		cmocka_unit_test(test_away),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
