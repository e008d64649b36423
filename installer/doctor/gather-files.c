/* SPDX-License-Identifier: Apache-2.0 */
/* What containerd, the kubelet and CNI are told, and the kubeconfigs that lie around. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/base/yaml.h"
#include "installer/actions/image-store.h"
#include "installer/ca-list.h"
#include "installer/credentials.h"
#include "installer/doctor/cause.h"
#include "installer/doctor/gather.h"
#include "installer/kubeconfig-view.h"
#include "installer/preflight/checks.h"
#include "installer/steps/steps-internal.h"
#include "installer/steps/toml.h"

#define TEXT_MAX ((size_t)1 << 20)
#define CRI_1 "plugins" BYOH_TOML_DOT "io.containerd.grpc.v1.cri" BYOH_TOML_DOT
#define CRI_IMAGES "plugins" BYOH_TOML_DOT "io.containerd.cri.v1.images" BYOH_TOML_DOT
#define CRI_RUNTIME "plugins" BYOH_TOML_DOT "io.containerd.cri.v1.runtime" BYOH_TOML_DOT
#define RUNC_OPTIONS                                                                               \
	"containerd" BYOH_TOML_DOT "runtimes" BYOH_TOML_DOT "runc" BYOH_TOML_DOT                   \
	"options" BYOH_TOML_DOT "SystemdCgroup"

static int out_of_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int keep(const char *text, char **ret, struct byoh_error *err)
{
	free(*ret);
	*ret = strdup(text);
	return *ret ? 0 : out_of_memory(err);
}

/* False where it cannot be read. */
static bool read_text(const struct byoh_evidence *evidence, const char *path,
		      struct byoh_buffer *ret)
{
	return byoh_host_read(evidence->host->root_fd, path, TEXT_MAX, ret, NULL) == 0;
}

/*
 * containerd
 */

static const struct byoh_toml_item *find_either(const struct byoh_toml *toml, const char *first,
						const char *second)
{
	const struct byoh_toml_item *item = byoh_toml_find(toml, first);

	return item ? item : byoh_toml_find(toml, second);
}

static int take_values(const struct byoh_toml *toml, struct byoh_evidence *evidence,
		       struct byoh_error *err)
{
	const struct byoh_toml_item *image = find_either(
		toml, CRI_1 "sandbox_image", CRI_IMAGES "pinned_images" BYOH_TOML_DOT "sandbox");
	const struct byoh_toml_item *cgroup =
		find_either(toml, CRI_1 RUNC_OPTIONS, CRI_RUNTIME RUNC_OPTIONS);
	const struct byoh_toml_item *version = byoh_toml_find(toml, "version");
	CLEANUP_FREE char *text = NULL;

	if (cgroup)
		evidence->containerd.systemd_cgroup =
			strncmp(toml->text + cgroup->value, "true", 4) == 0;
	else if (version && toml->text[version->value] == '2' &&
		 evidence->containerd.systemd_cgroup < 0)
		evidence->containerd.systemd_cgroup = 0; /* the default of 1.x */
	if (!image || byoh_toml_text(toml, image, &text, NULL) < 0)
		return 0;
	return keep(text, &evidence->containerd.sandbox_image, err);
}

static int read_containerd(const char *path, struct byoh_evidence *evidence, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP_TOML struct byoh_toml *toml = NULL;
	struct byoh_error fault = BYOH_ERROR_INIT;

	if (!read_text(evidence, path, &text))
		return 0;
	evidence->containerd.configured = true;
	if (byoh_check_disables_cri(byoh_buffer_text(&text))) {
		evidence->containerd.cri_disabled_line = 1;
		for (const char *at = text.data; *at && strncmp(at, "disabled_plugins", 16); at++)
			evidence->containerd.cri_disabled_line += *at == '\n';
	}
	if (byoh_toml_read(byoh_buffer_text(&text), text.size, &toml, &fault) < 0)
		return keep(fault.message, &evidence->containerd.fault, err);
	return take_values(toml, evidence, err);
}

static int add_image(const char *name, size_t length, struct byoh_strings *ret,
		     struct byoh_error *err)
{
	char **grown = reallocarray(ret->items, ret->count + 1, sizeof(*grown));

	if (!grown)
		return out_of_memory(err);
	ret->items = grown;
	grown[ret->count] = strndup(name, length);
	return grown[ret->count++] ? 0 : out_of_memory(err);
}

static int gather_images(struct byoh_evidence *evidence, struct byoh_error *err)
{
	static const char *const argv[] = {
		"ctr", "--connect-timeout", "10s", "--namespace", "k8s.io", "images",
		"ls",  "--quiet",	    NULL
	};
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	int rc = byoh_gather_output(argv, 60, &text, &evidence->containerd.images_known, err);

	if (!evidence->containerd.images_known)
		return rc;
	for (const char *at = byoh_buffer_text(&text); *at && rc == 0;) {
		size_t length = strcspn(at, "\n");

		if (length)
			rc = add_image(at, length, &evidence->containerd.images, err);
		at += length + (at[length] == '\n');
	}
	return rc;
}

/* "io.containerd.grpc.v1   cri   linux/amd64   ok" */
static int gather_plugin(struct byoh_evidence *evidence, struct byoh_error *err)
{
	static const char *const argv[] = {
		"ctr", "--connect-timeout", "10s", "plugins", "ls", NULL
	};
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	bool good;
	int rc = byoh_gather_output(argv, 60, &text, &good, err);
	char name[64], state[32];

	for (const char *at = byoh_buffer_text(&text); rc == 0 && good && *at;) {
		if (sscanf(at, "%*s %63s %*s %31s", name, state) == 2 && strcmp(name, "cri") == 0)
			rc = keep(state, &evidence->containerd.cri, err);
		at += strcspn(at, "\n");
		at += *at == '\n';
	}
	return rc;
}

int byoh_gather_runtime(struct byoh_evidence *evidence, struct byoh_error *err)
{
	int rc = read_containerd(BYOH_CONTAINERD_CONFIG, evidence, err);

	/* What an adoption adds goes before. */
	if (rc == 0)
		rc = read_containerd("/etc/containerd/byoh.toml", evidence, err);
	if (rc < 0 || !evidence->host->live || !evidence->units[BYOH_DOCTOR_CONTAINERD].state)
		return rc;
	evidence->containerd.asked = true;
	evidence->containerd.answers = byoh_image_store_answers();
	if (!evidence->containerd.answers)
		return 0;
	rc = gather_images(evidence, err);
	return rc < 0 ? rc : gather_plugin(evidence, err);
}

/*
 * The kubelet
 */

uint64_t byoh_quantity(const char *text, uint64_t total)
{
	static const struct {
		const char *suffix;
		uint64_t factor;
	} units[] = {
		{ "Ki", 1ULL << 10 }, { "Mi", 1ULL << 20 },   { "Gi", 1ULL << 30 },
		{ "Ti", 1ULL << 40 }, { "k", 1000 },	      { "M", 1000000 },
		{ "G", 1000000000 },  { "T", 1000000000000 }, { "", 1 },
	};
	char *end;
	double value = strtod(text, &end);

	if (end == text || !(value >= 0) || value > 1e15)
		return 0;
	if (strcmp(end, "%") == 0)
		return (uint64_t)(value * (double)total / 100);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strcmp(end, units[i].suffix) == 0)
			return (uint64_t)(value * (double)units[i].factor);
	return 0;
}

static const char *text_of(const struct byoh_yaml_node *map, const char *key)
{
	const struct byoh_yaml_node *node = byoh_yaml_get(map, key);

	return node && node->type == BYOH_YAML_SCALAR && !byoh_yaml_is_null(node) ? node->text
										  : NULL;
}

static void look_at_disk(struct byoh_disk_evidence *disk, const struct byoh_yaml_node *limits,
			 const char *available, const char *inodes)
{
	struct statvfs st;
	const char *least = text_of(limits, available), *least_inodes = text_of(limits, inodes);

	if (statvfs(disk->path, &st) < 0)
		return;
	disk->total = (uint64_t)st.f_blocks * st.f_frsize;
	disk->available = (uint64_t)st.f_bavail * st.f_frsize;
	disk->inodes = st.f_files;
	disk->free_inodes = st.f_ffree;
	/* A list of its own replaces all of the kubelet's defaults. */
	if (!limits) {
		least = strcmp(disk->what, "nodefs") == 0 ? "10%" : "15%";
		least_inodes = "5%";
	}
	disk->least = least ? byoh_quantity(least, disk->total) : 0;
	disk->least_inodes = least_inodes ? byoh_quantity(least_inodes, disk->inodes) : 0;
}

/* Where it is mounted: a folder of another device lies above it, or none. */
int byoh_mount_point(const char *path, char **ret, struct byoh_error *err)
{
	CLEANUP_FREE char *at = strdup(path), *above = strdup(path);
	struct stat own, st;

	if (!at || !above)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	if (at[0] != '/' || stat(at, &own) < 0)
		return 0;
	while (at[1]) {
		char *slash = strrchr(above, '/');

		slash[slash == above] = '\0';
		if (stat(above, &st) < 0 || st.st_dev != own.st_dev)
			break;
		strcpy(at, above);
	}
	*ret = TAKE_PTR(at);
	return 0;
}

static int gather_disks(struct byoh_evidence *evidence, const struct byoh_yaml_node *root,
			struct byoh_error *err)
{
	const struct byoh_yaml_node *limits = byoh_yaml_get(root, "evictionHard");
	const char *store = evidence->config && evidence->config->containerd.root
				    ? evidence->config->containerd.root
				    : "/var/lib/containerd";
	int rc = keep("/var/lib/kubelet", &evidence->disks[0].path, err);

	if (rc == 0)
		rc = keep(store, &evidence->disks[1].path, err);
	if (rc < 0 || !evidence->host->live)
		return rc;
	evidence->disks[0].what = "nodefs";
	evidence->disks[1].what = "imagefs";
	look_at_disk(&evidence->disks[0], limits, "nodefs.available", "nodefs.inodesFree");
	look_at_disk(&evidence->disks[1], limits, "imagefs.available", "imagefs.inodesFree");
	for (size_t i = 0; i < ARRAY_SIZE(evidence->disks) && rc == 0; i++)
		rc = byoh_mount_point(evidence->disks[i].path, &evidence->disks[i].mount, err);
	return rc;
}

static int take_text(const struct byoh_yaml_node *map, const char *key, char **ret,
		     struct byoh_error *err)
{
	const char *text = text_of(map, key);

	return text && *text ? keep(text, ret, err) : 0;
}

static bool is_true(const char *text)
{
	return text && strcmp(text, "true") == 0;
}

static int take_kubelet(const struct byoh_yaml_node *root, struct byoh_evidence *evidence,
			struct byoh_error *err)
{
	const struct byoh_yaml_node *x509 =
		byoh_yaml_get(byoh_yaml_get(root, "authentication"), "x509");
	const char *swap = text_of(root, "failSwapOn"), *resolver = text_of(root, "resolvConf");
	int rc = take_text(root, "cgroupDriver", &evidence->kubelet.cgroup_driver, err);

	if (rc == 0)
		rc = take_text(x509, "clientCAFile", &evidence->kubelet.ca_file, err);
	if (rc == 0 && !(resolver && !*resolver))
		rc = keep(resolver ? resolver : "/etc/resolv.conf", &evidence->kubelet.resolv_conf,
			  err);
	evidence->kubelet.swap_allowed = swap && strcmp(swap, "false") == 0;
	evidence->kubelet.serving_bootstrap = is_true(text_of(root, "serverTLSBootstrap"));
	return rc;
}

/* A resolver of this host itself, which the pods' DNS would be asked by. */
static int find_loop(const char *text, char **ret, struct byoh_error *err)
{
	char address[64];

	for (const char *at = text; *at;) {
		if (sscanf(at, "nameserver %63s", address) == 1 &&
		    (strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0))
			return keep(address, ret, err);
		at += strcspn(at, "\n");
		at += *at == '\n';
	}
	return 0;
}

static int look_around_kubelet(struct byoh_evidence *evidence, struct byoh_error *err)
{
	int root = evidence->host->root_fd;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	evidence->kubelet.ca_exists =
		evidence->kubelet.ca_file && byoh_host_exists(root, evidence->kubelet.ca_file);
	evidence->kubelet.serving_certificate =
		byoh_host_exists(root, BYOH_KUBELET_CERTIFICATES "/kubelet-server-current.pem");
	evidence->kubelet.asks =
		byoh_host_exists(root, BYOH_KUBELET_CERTIFICATES "/kubelet-client.key.tmp");
	if (!evidence->kubelet.resolv_conf)
		return 0;
	evidence->kubelet.resolv_exists = read_text(evidence, evidence->kubelet.resolv_conf, &text);
	return find_loop(byoh_buffer_text(&text), &evidence->kubelet.resolv_loop, err);
}

int byoh_gather_kubelet(struct byoh_evidence *evidence, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP(byoh_yaml_freep) struct byoh_yaml *doc = NULL;
	struct byoh_error fault = BYOH_ERROR_INIT;
	const struct byoh_yaml_node *root = NULL;
	int rc = 0;

	evidence->kubelet.exists = read_text(evidence, BYOH_KUBELET_CONFIG, &text);
	if (evidence->kubelet.exists) {
		if (byoh_yaml_parse(byoh_buffer_text(&text), text.size, BYOH_KUBELET_CONFIG,
				    BYOH_ERROR_CONFIG, &doc, &fault) < 0)
			rc = keep(fault.message, &evidence->kubelet.fault, err);
		else if (!(root = byoh_yaml_root(doc)) || root->type != BYOH_YAML_MAPPING)
			rc = keep("holds no configuration", &evidence->kubelet.fault, err);
	}
	if (rc == 0 && root && root->type == BYOH_YAML_MAPPING)
		rc = take_kubelet(root, evidence, err);
	if (rc == 0)
		rc = gather_disks(evidence, root, err);
	return rc < 0 ? rc : look_around_kubelet(evidence, err);
}

/*
 * CNI
 */

struct cni_visit {
	struct byoh_evidence *evidence;
};

static bool is_conf(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (strcmp(dot, ".conf") == 0 || strcmp(dot, ".conflist") == 0 ||
		       strcmp(dot, ".json") == 0);
}

static int look_for_plugin(const struct byoh_evidence *evidence,
			   const struct byoh_yaml_node *plugin, struct byoh_cni_file *file,
			   struct byoh_error *err)
{
	const char *type = text_of(plugin, "type");
	char path[BYOH_PATH_MAX];

	if (!type || strchr(type, '/') || file->missing_plugin)
		return 0;
	snprintf(path, sizeof(path), BYOH_CNI_BIN "/%.200s", type);
	return byoh_host_exists(evidence->host->root_fd, path)
		       ? 0
		       : keep(type, &file->missing_plugin, err);
}

static int read_cni(const struct byoh_evidence *evidence, struct byoh_cni_file *file,
		    struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP(byoh_yaml_freep) struct byoh_yaml *doc = NULL;
	struct byoh_error fault = BYOH_ERROR_INIT;
	const struct byoh_yaml_node *plugins;
	char path[BYOH_PATH_MAX];
	int rc = 0;

	snprintf(path, sizeof(path), BYOH_CNI_CONFIG "/%.200s", file->name);
	if (!read_text(evidence, path, &text))
		return keep("cannot be read", &file->fault, err);
	if (byoh_yaml_parse(byoh_buffer_text(&text), text.size, file->name, BYOH_ERROR_CONFIG, &doc,
			    &fault) < 0)
		return keep(fault.message, &file->fault, err);
	plugins = byoh_yaml_get(byoh_yaml_root(doc), "plugins");
	if (!plugins && !text_of(byoh_yaml_root(doc), "type"))
		return keep("names no plugin", &file->fault, err);
	if (!plugins)
		return look_for_plugin(evidence, byoh_yaml_root(doc), file, err);
	for (size_t i = 0; plugins->type == BYOH_YAML_SEQUENCE && i < plugins->count && rc == 0;
	     i++)
		rc = look_for_plugin(evidence, plugins->items[i], file, err);
	return rc;
}

static int add_cni(void *context, const char *name, struct byoh_error *err)
{
	struct byoh_evidence *evidence = ((struct cni_visit *)context)->evidence;
	struct byoh_cni_file *grown;
	int rc;

	if (!is_conf(name))
		return 0;
	grown = reallocarray(evidence->cni_files, evidence->cni_count + 1, sizeof(*grown));
	if (!grown)
		return out_of_memory(err);
	evidence->cni_files = grown;
	grown += evidence->cni_count;
	*grown = (struct byoh_cni_file){ 0 };
	rc = keep(name, &grown->name, err);
	if (rc < 0)
		return rc;
	evidence->cni_count++;
	return read_cni(evidence, grown, err);
}

int byoh_gather_cni(struct byoh_evidence *evidence, struct byoh_error *err)
{
	struct cni_visit visit = { evidence };
	int rc = byoh_each_name(evidence->host->root_fd, BYOH_CNI_CONFIG, add_cni, &visit, err);

	if (rc == -ENOMEM)
		return rc;
	if (rc < 0 && err)
		*err = (struct byoh_error)BYOH_ERROR_INIT; /* not to be read: unknown */
	return 0;
}

/*
 * Kubeconfigs
 */

static void free_certificate(X509 **certificate)
{
	X509_free(*certificate);
}

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}

static int take_identity(const struct byoh_buffer *pem, struct byoh_kubeconfig_evidence *ret,
			 struct byoh_error *err)
{
	CLEANUP(free_bio) BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->size);
	CLEANUP(free_certificate)
	X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	char name[256];

	if (!certificate || X509_NAME_get_text_by_NID(X509_get_subject_name(certificate),
						      NID_commonName, name, sizeof(name)) < 0)
		return 0;
	return keep(name, &ret->identity, err);
}

static int take_kubeconfig(struct byoh_kubeconfig_view *view, struct byoh_kubeconfig_evidence *ret,
			   struct byoh_error *err)
{
	int rc = 0;

	ret->has_token = view->token != NULL;
	ret->has_certificate = view->certificate.size > 0;
	if (view->token && byoh_token_is_bootstrap(view->token)) {
		ret->token_id = strndup(view->token, 6);
		if (!ret->token_id)
			return out_of_memory(err);
	}
	if (!view->server)
		rc = keep("names no server", &ret->fault, err);
	else if (!ret->has_token && !ret->has_certificate)
		rc = keep("holds neither a token nor a certificate", &ret->fault, err);
	if (rc == 0 && ret->has_certificate) {
		(void)byoh_certificate_times(view->certificate.data, view->certificate.size, false,
					     &ret->not_before, &ret->not_after);
		rc = take_identity(&view->certificate, ret, err);
	}
	ret->server = TAKE_PTR(view->server);
	ret->ca = view->ca;
	view->ca = (struct byoh_buffer){ 0 };
	return rc;
}

/* The kubelet writes its kubeconfig when it begins to ask; the certificate that it names comes with
 * the answer. */
static bool is_unanswered(const struct byoh_kubeconfig_view *view)
{
	return view->server && !view->token && !view->certificate.size;
}

static void note_unanswered(struct byoh_evidence *evidence)
{
	evidence->kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG] =
		(struct byoh_kubeconfig_evidence){ 0 };
	evidence->kubelet.asks = true;
}

int byoh_gather_kubeconfigs(struct byoh_evidence *evidence, struct byoh_error *err)
{
	int rc = 0;

	for (enum byoh_doctor_kubeconfig i = 0; i < BYOH_DOCTOR_KUBECONFIGS && rc == 0; i++) {
		CLEANUP_KUBECONFIG_VIEW struct byoh_kubeconfig_view view = { 0 };
		struct byoh_kubeconfig_evidence *it = &evidence->kubeconfigs[i];
		struct byoh_error fault = BYOH_ERROR_INIT;
		struct stat st;

		if (byoh_host_stat(evidence->host->root_fd, byoh_doctor_kubeconfig_path(i), &st,
				   NULL) < 0)
			continue;
		it->exists = true;
		it->mode = st.st_mode & 07777;
		if (byoh_kubeconfig_view_file(evidence->host->root_fd,
					      byoh_doctor_kubeconfig_path(i), &view, &fault) < 0)
			rc = keep(fault.message, &it->fault, err);
		else if (i == BYOH_DOCTOR_KUBELET_KUBECONFIG && is_unanswered(&view))
			note_unanswered(evidence);
		else
			rc = take_kubeconfig(&view, it, err);
	}
	return rc;
}
