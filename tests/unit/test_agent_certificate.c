/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's next certificate, from a cluster that is played here: it keeps one request and signs it when told. */
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
#include <sys/stat.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/agent-certificate.h"
#include "installer/agent-config.h"
#include "installer/credentials.h"
#include "installer/kubeconfig-access.h"
#include "installer/kubeconfig.h"
#include "installer/kubernetes-config.h"
#include "tests/unit/api-server.h"
#include "tests/unit/root-fixture.h"

#define REQUESTS "/apis/certificates.k8s.io/v1/certificatesigningrequests"
#define NEXT_KEY "/var/lib/byoh/agent-next.key"
#define CN "byoh:host:node10"

struct cluster {
	enum { UNDECIDED, APPROVED, DENIED } decision;
	unsigned int posts;
	char name[256], request[2048];
};

static struct byoh_buffer sign(const struct test_identity *ca, const struct byoh_buffer *request_pem, long from, long until)
{
	struct byoh_buffer ret = { 0 };
	X509 *certificate = X509_new();
	BIO *in = BIO_new_mem_buf(request_pem->data, (int)request_pem->size), *out = BIO_new(BIO_s_mem());
	X509_REQ *request = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
	char *text;
	long size;

	CHECK(request && X509_REQ_verify(request, X509_REQ_get0_pubkey(request)) == 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), from);
	X509_gmtime_adj(X509_getm_notAfter(certificate), until);
	X509_set_subject_name(certificate, X509_REQ_get_subject_name(request));
	X509_set_pubkey(certificate, X509_REQ_get0_pubkey(request));
	CHECK(X509_sign(certificate, ca->key, EVP_sha256()) && PEM_write_bio_X509(out, certificate));
	size = BIO_get_mem_data(out, &text);
	CHECK(byoh_buffer_add(&ret, text, (size_t)size, NULL) == 0);
	return ret;
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
	struct byoh_buffer text = { 0 }, pem = { 0 }, encoded = { 0 }, certificate;

	if (cluster->decision == APPROVED) {
		CHECK(byoh_base64_decode(cluster->request, &pem, NULL) == 0);
		certificate = sign(server->id, &pem, -10, 9000);
		CHECK(byoh_base64_encode(certificate.data, certificate.size, &encoded, NULL) == 0);
	}
	CHECK(byoh_buffer_printf(&text, NULL, "kind: CertificateSigningRequest\nstatus: {%s%s}\n",
				 cluster->decision == UNDECIDED ? "" : cluster->decision == DENIED
					? "conditions: [{type: Denied, reason: No}]"
					: "conditions: [{type: Approved}], certificate: ",
				 byoh_buffer_text(&encoded)) == 0);
	say(tls, "200 OK", text.data);
}

/* Nobody without the certificate, and no token is needed. */
static void answer(const struct test_server *server, unsigned int count, SSL *tls, const char *request)
{
	struct cluster *cluster = (struct cluster *)server->context;
	char path[512];

	(void)count;
	snprintf(path, sizeof(path), "GET " REQUESTS "/%s HTTP/1.1\r\n", cluster->name);
	if (strstr(request, "Authorization") || !SSL_get0_peer_certificate(tls)) {
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
	*scene = (struct scene){ .id = test_identity_make(&test_validity_usual), .now = (uint64_t)time(NULL) };
	scene->cluster = mmap(NULL, sizeof(*scene->cluster), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(scene->cluster != MAP_FAILED);
	scene->server = (struct test_server){ .answer = answer, .id = &scene->id, .context = scene->cluster };
	test_root_make(&scene->root);
	test_root_put(&scene->root, "/var/lib/byoh/state.json", "", 0600);
	test_server_begin(&scene->server);
	scene->host.root_fd = scene->root.fd;
	scene->host.hostname = (char *)"node10";
	scene->host.outside = scene->server.outside;
	scene->config.join_mode = BYOH_JOIN_AGENT;
	scene->config.cluster.server = scene->server.url;
	scene->config.cluster.ca = test_identity_pem(&scene->id);
}

static void end(struct scene *scene)
{
	test_server_end(&scene->server);
	test_root_remove(&scene->root);
}

/* The agent's kubeconfig, with a certificate of those times; kube-proxy has the same. */
static void put_agent(const struct scene *scene, const char *common_name, long from, long until)
{
	const struct byoh_csr_subject subject = { .common_name = common_name, .organization = "byoh:hosts" };
	struct byoh_buffer key = { 0 }, request = { 0 }, certificate, text = { 0 };

	CHECK(byoh_csr_make_key(&key, NULL) == 0 && byoh_csr_make(&key, &subject, &request, NULL) == 0);
	certificate = sign(&scene->id, &request, from, until);
	CHECK(byoh_kubeconfig_write_certificate(NULL, scene->server.url, &scene->config.cluster.ca, &certificate, &key, &text,
						NULL) == 0);
	test_root_put(&scene->root, BYOH_AGENT_CONFIG, text.data, 0600);
	test_root_put(&scene->root, BYOH_KUBE_PROXY_KUBECONFIG, text.data, 0600);
}

static struct byoh_agent_renewal_look settles(const struct scene *scene, enum byoh_agent_renewal expected)
{
	struct byoh_agent_renewal_look look;
	struct byoh_error err = BYOH_ERROR_INIT;
	int r = byoh_agent_certificate_settle(&scene->host, &scene->config, scene->now, &look, &err);

	if (r || look.outcome != expected)
		fprintf(stderr, "%d: %s; %d (%s)\n", r, err.message, (int)look.outcome, look.fault);
	CHECK(r == 0 && look.outcome == expected);
	return look;
}

static uint64_t expires(const struct scene *scene, const char *path)
{
	struct byoh_access access = { 0 };
	struct byoh_validity validity;
	struct stat st;

	CHECK(byoh_access_read(scene->root.fd, path, &access, NULL) == 0);
	CHECK(!strcmp(access.server, scene->server.url) && access.ca.size == scene->config.cluster.ca.size);
	CHECK(byoh_csr_check_certificate(&access.certificate, &access.key, CN, &validity, NULL) == 0);
	CHECK(byoh_stat_beneath(scene->root.fd, path, &st, NULL) == 0 && (st.st_mode & 07777) == 0600);
	return validity.until;
}

static void renew(void)
{
	struct byoh_agent_renewal_look look;
	struct scene scene;

	begin(&scene);
	settles(&scene, BYOH_AGENT_RENEWAL_NONE);
	put_agent(&scene, CN, -700, 300);
	settles(&scene, BYOH_AGENT_RENEWAL_NONE);
	CHECK(scene.cluster->posts == 0);

	put_agent(&scene, CN, -900, 100);
	look = settles(&scene, BYOH_AGENT_RENEWAL_WAITING);
	CHECK(!strncmp(look.name, "byoh-csr-node10-", 16) && !look.fault[0] && !strcmp(look.name, scene.cluster->name));
	settles(&scene, BYOH_AGENT_RENEWAL_WAITING);
	CHECK(scene.cluster->posts == 1);
	scene.cluster->decision = DENIED;
	look = settles(&scene, BYOH_AGENT_RENEWAL_WAITING);
	CHECK(strstr(look.fault, "it was denied: "));

	scene.cluster->decision = APPROVED;
	look = settles(&scene, BYOH_AGENT_RENEWAL_DONE);
	CHECK(look.proxy && expires(&scene, BYOH_AGENT_CONFIG) > scene.now + 8000);
	CHECK(expires(&scene, BYOH_KUBE_PROXY_KUBECONFIG) == expires(&scene, BYOH_AGENT_CONFIG));
	CHECK(!byoh_exists_beneath(scene.root.fd, NEXT_KEY));
	settles(&scene, BYOH_AGENT_RENEWAL_NONE);
	CHECK(scene.cluster->posts == 1);
	end(&scene);
}

static void cannot(void)
{
	struct byoh_agent_renewal_look look;
	struct scene scene;

	begin(&scene);
	/* What has run out asks for nothing, nor does another host's. */
	put_agent(&scene, CN, -900, -100);
	settles(&scene, BYOH_AGENT_RENEWAL_NONE);
	put_agent(&scene, "byoh:host:node11", -900, 100);
	settles(&scene, BYOH_AGENT_RENEWAL_NONE);
	CHECK(scene.cluster->posts == 0 && !byoh_exists_beneath(scene.root.fd, NEXT_KEY));
	/* kube-proxy with another identity keeps it. */
	put_agent(&scene, CN, -900, 100);
	test_root_put(&scene.root, BYOH_KUBE_PROXY_KUBECONFIG, "another's", 0600);
	settles(&scene, BYOH_AGENT_RENEWAL_WAITING);
	scene.cluster->decision = APPROVED;
	look = settles(&scene, BYOH_AGENT_RENEWAL_DONE);
	CHECK(!look.proxy);
	/* The server is away: it is due all the same, and said. */
	put_agent(&scene, CN, -900, 100);
	kill(scene.server.pid, SIGKILL);
	look = settles(&scene, BYOH_AGENT_RENEWAL_WAITING);
	CHECK(look.fault[0]);
	expires(&scene, BYOH_AGENT_CONFIG);
	end(&scene);
}

static void test_renewal(void **state)
{
	(void)state;
	test_in_child(renew);
}

static void test_what_cannot_be_renewed(void **state)
{
	(void)state;
	test_in_child(cannot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_renewal),
		cmocka_unit_test(test_what_cannot_be_renewed),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
