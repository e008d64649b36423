/* SPDX-License-Identifier: Apache-2.0 */
/* kube-proxy's own certificate, from a cluster that is played here: it keeps one request and signs it when told. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/credentials.h"
#include "installer/kubeconfig-access.h"
#include "installer/kubeconfig.h"
#include "installer/kubernetes-config.h"
#include "installer/proxy-certificate.h"
#include "tests/unit/api-server.h"
#include "tests/unit/root-fixture.h"

#define BOOTSTRAP "abcdef.0123456789abcdef"
#define REQUESTS "/apis/certificates.k8s.io/v1/certificatesigningrequests"

/* What the test tells the cluster and learns from it, in memory of both. */
struct cluster {
	enum { UNDECIDED, APPROVED, DENIED } decision;
	bool proxy_unknown; /* the certificate that kube-proxy has */
	unsigned int posts, probes;
	char name[256], request[2048];
};

static struct byoh_buffer sign(const struct test_identity *ca, const char *request_data)
{
	struct byoh_buffer pem = { 0 }, ret = { 0 }, encoded = { 0 };
	X509 *certificate = X509_new();
	BIO *in, *out = BIO_new(BIO_s_mem());
	X509_REQ *request;
	char *text;
	long size;

	CHECK(byoh_base64_decode(request_data, &pem, NULL) == 0);
	in = BIO_new_mem_buf(pem.data, (int)pem.size);
	request = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
	CHECK(request && X509_REQ_verify(request, X509_REQ_get0_pubkey(request)) == 1);
	/* Before the scene's own time, however late this is reached. */
	X509_gmtime_adj(X509_getm_notBefore(certificate), -100);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 1000);
	X509_set_subject_name(certificate, X509_REQ_get_subject_name(request));
	X509_set_pubkey(certificate, X509_REQ_get0_pubkey(request));
	CHECK(X509_sign(certificate, ca->key, EVP_sha256()) && PEM_write_bio_X509(out, certificate));
	size = BIO_get_mem_data(out, &text);
	CHECK(byoh_buffer_add(&ret, text, (size_t)size, NULL) == 0);
	CHECK(byoh_base64_encode(ret.data, ret.size, &encoded, NULL) == 0);
	return encoded;
}

static void copy_field(const char *request, const char *before, char *ret, size_t size)
{
	const char *at = strstr(request, before);

	CHECK(at);
	at += strlen(before);
	CHECK(strcspn(at, "\"") < size);
	snprintf(ret, size, "%.*s", (int)strcspn(at, "\""), at);
}

static void say(SSL *tls, const char *status, const char *body)
{
	struct byoh_buffer text = { 0 };

	CHECK(byoh_buffer_printf(&text, NULL, "HTTP/1.1 %s\r\n\r\n%s", status, body) == 0);
	test_server_write(tls, text.data);
}

static void tell_request(const struct test_server *server, const struct cluster *cluster, SSL *tls)
{
	struct byoh_buffer text = { 0 }, certificate = { 0 };

	if (cluster->decision == APPROVED)
		certificate = sign(server->id, cluster->request);
	CHECK(byoh_buffer_printf(&text, NULL, "kind: CertificateSigningRequest\nstatus: {%s%s%s}\n",
				 cluster->decision == UNDECIDED ? "" : cluster->decision == DENIED
					? "conditions: [{type: Denied, reason: No}]"
					: "conditions: [{type: Approved}], certificate: ",
				 byoh_buffer_text(&certificate), "") == 0);
	say(tls, "200 OK", text.data);
}

static void answer(const struct test_server *server, unsigned int count, SSL *tls, const char *request)
{
	struct cluster *cluster = (struct cluster *)server->context;
	char path[512];

	(void)count;
	snprintf(path, sizeof(path), "GET " REQUESTS "/%s HTTP/1.1\r\n", cluster->name);
	if (!strncmp(request, "GET /api/v1/services?limit=1 ", 29)) {
		cluster->probes++;
		CHECK(!strstr(request, "Authorization") && SSL_get0_peer_certificate(tls));
		say(tls, cluster->proxy_unknown ? "401 Unauthorized" : "200 OK", "{}");
	} else if (!strstr(request, "Authorization: Bearer " BOOTSTRAP "\r\n")) {
		say(tls, "401 Unauthorized", "{}");
	} else if (!strncmp(request, "POST " REQUESTS " ", sizeof(REQUESTS) + 5)) {
		cluster->posts++;
		CHECK(strstr(request, "\"kubernetes.io/kube-apiserver-client\""));
		copy_field(request, "\"name\": \"", cluster->name, sizeof(cluster->name));
		copy_field(request, "\"request\": \"", cluster->request, sizeof(cluster->request));
		say(tls, "201 Created", "{}");
	} else if (cluster->name[0] && !strncmp(request, path, strlen(path))) {
		tell_request(server, cluster, tls);
	} else {
		say(tls, "404 Not Found", "{}");
	}
}

struct scene {
	struct test_identity id;
	struct test_server server;
	struct cluster *cluster;
	struct test_root root;
	struct byoh_host host;
	struct byoh_config config;
	uint64_t now;
};

static void begin(struct scene *scene)
{
	*scene = (struct scene){ .id = test_identity_make(&test_validity_usual), .now = (uint64_t)time(NULL) + 1 };
	scene->cluster = mmap(NULL, sizeof(*scene->cluster), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(scene->cluster != MAP_FAILED);
	scene->server = (struct test_server){ .answer = answer, .id = &scene->id, .context = scene->cluster };
	test_root_make(&scene->root);
	test_server_begin(&scene->server);
	scene->host.root_fd = scene->root.fd;
	scene->host.hostname = (char *)"node10";
	scene->host.outside = scene->server.outside;
	scene->config.cluster.server = scene->server.url;
	scene->config.cluster.ca = test_identity_pem(&scene->id);
}

static void end(struct scene *scene)
{
	test_server_end(&scene->server);
	test_root_remove(&scene->root);
}

static void settles(const struct scene *scene, enum byoh_proxy_outcome expected, const char *note)
{
	enum byoh_proxy_outcome outcome = BYOH_PROXY_VALID;
	struct byoh_proxy_request request;
	struct byoh_error err = BYOH_ERROR_INIT;
	int r = byoh_proxy_certificate_settle(&scene->host, &scene->config, scene->now, &outcome, &err);

	byoh_proxy_request_read(&scene->host, &request);
	if (r || outcome != expected || strcmp(request.state, note) != 0)
		fprintf(stderr, "%d: %s; %d, %s (%s)\n", r, err.message, (int)outcome, request.state, request.message);
	CHECK(r == 0 && outcome == expected && !strcmp(request.state, note));
	CHECK(!strstr(request.message, "0123456789abcdef"));
}

static void put_token(const struct scene *scene, const char *path, const char *token)
{
	struct byoh_buffer text = { 0 };

	CHECK(byoh_kubeconfig_write_bootstrap(NULL, "https://192.0.2.1:6443", &scene->config.cluster.ca, token, &text,
					      NULL) == 0);
	test_root_put(&scene->root, path, text.data, 0600);
}

static bool exists(const struct scene *scene, const char *path)
{
	return byoh_exists_beneath(scene->root.fd, path);
}

static void check_kubeconfig(const struct scene *scene)
{
	struct byoh_buffer text = { 0 };
	struct byoh_access access = { 0 };
	struct stat st;

	CHECK(byoh_read_file(scene->root.fd, BYOH_KUBE_PROXY_KUBECONFIG, 65536, &text, NULL) == 0);
	CHECK(byoh_stat_beneath(scene->root.fd, BYOH_KUBE_PROXY_KUBECONFIG, &st, NULL) == 0 && (st.st_mode & 07777) == 0600);
	CHECK(byoh_kubeconfig_check_proxy(text.data, text.size, "k", NULL) == 0);
	CHECK(byoh_access_read(scene->root.fd, BYOH_KUBE_PROXY_KUBECONFIG, &access, NULL) == 0);
	CHECK(!strcmp(access.server, scene->server.url) && access.ca.size == scene->config.cluster.ca.size);
}

static void live(void)
{
	struct scene scene;
	char first[256];

	begin(&scene);
	settles(&scene, BYOH_PROXY_WAITING, "unsent");
	put_token(&scene, BYOH_KUBELET_BOOTSTRAP_KUBECONFIG, BOOTSTRAP);
	settles(&scene, BYOH_PROXY_WAITING, "pending");
	settles(&scene, BYOH_PROXY_WAITING, "pending");
	CHECK(scene.cluster->posts == 1 && !strncmp(scene.cluster->name, "byoh-kube-proxy-node10-", 23));
	CHECK(!exists(&scene, BYOH_KUBE_PROXY_KUBECONFIG));
	strcpy(first, scene.cluster->name);

	scene.cluster->decision = APPROVED;
	settles(&scene, BYOH_PROXY_CHANGED, "");
	check_kubeconfig(&scene);
	CHECK(!exists(&scene, "/var/lib/kube-proxy/pki/next.key"));
	CHECK(byoh_proxy_certificate_expires(&scene.host) > scene.now);
	settles(&scene, BYOH_PROXY_VALID, "");
	CHECK(scene.cluster->posts == 1 && scene.cluster->probes == 1);

	/* Renewed CAs reach the kubeconfig, and need no other certificate. */
	CHECK(byoh_buffer_add_string(&scene.config.cluster.ca, "\n", NULL) == 0);
	settles(&scene, BYOH_PROXY_CHANGED, "");
	check_kubeconfig(&scene);
	CHECK(scene.cluster->posts == 1);

	/* At four fifths: a new key, while the old certificate stays. */
	scene.cluster->decision = UNDECIDED;
	scene.now += 800;
	put_token(&scene, BYOH_KUBELET_KUBECONFIG, "unknown");
	settles(&scene, BYOH_PROXY_WAITING, "pending");
	CHECK(scene.cluster->posts == 2 && strcmp(first, scene.cluster->name) != 0);
	check_kubeconfig(&scene);
	scene.cluster->decision = DENIED;
	settles(&scene, BYOH_PROXY_WAITING, "denied");
	CHECK(scene.cluster->posts == 2);
	end(&scene);
}

static void lose(void)
{
	struct scene scene;

	begin(&scene);
	put_token(&scene, BYOH_KUBELET_BOOTSTRAP_KUBECONFIG, BOOTSTRAP);
	scene.cluster->decision = APPROVED;
	settles(&scene, BYOH_PROXY_WAITING, "pending");
	settles(&scene, BYOH_PROXY_CHANGED, "");
	/* The cluster was made anew: it has nobody of the old one. */
	scene.cluster->proxy_unknown = true;
	scene.cluster->decision = UNDECIDED;
	settles(&scene, BYOH_PROXY_WAITING, "pending");
	CHECK(scene.cluster->posts == 2);
	scene.cluster->decision = APPROVED;
	settles(&scene, BYOH_PROXY_CHANGED, "");
	/* It is not there: what there is stays, until it is time. */
	kill(scene.server.pid, SIGKILL);
	settles(&scene, BYOH_PROXY_VALID, "");
	scene.now += 900;
	settles(&scene, BYOH_PROXY_WAITING, "unsent");
	check_kubeconfig(&scene);
	end(&scene);
}

static void test_life(void **state)
{
	(void)state;
	test_in_child(live);
}

static void test_losses(void **state)
{
	(void)state;
	test_in_child(lose);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_losses),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
