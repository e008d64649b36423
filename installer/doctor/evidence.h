/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `doctor` knows about a host, gathered once and then only read: states of services and what
 * they said last, files, the network, containerd's answers, the API server's. Judging it (cause.h)
 * asks nobody any more, so that tests judge hosts that there never were. No secret is kept in it:
 * of a kubeconfig only what it points to.
 */
#ifndef BYOH_INSTALLER_DOCTOR_EVIDENCE_H
#define BYOH_INSTALLER_DOCTOR_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bundle/base/buffer.h"
#include "installer/config.h"
#include "installer/host.h"
#include "installer/steps/node-state.h"

enum byoh_doctor_unit {
	BYOH_DOCTOR_CONTAINERD,
	BYOH_DOCTOR_KUBELET,
	BYOH_DOCTOR_KUBE_PROXY,
	BYOH_DOCTOR_AGENT,
	BYOH_DOCTOR_UNITS,
};

#define BYOH_STEADY_SECONDS 20 /* what is up for so long stays up */

struct byoh_unit_evidence {
	const char *state;  /* as in struct byoh_service_state; NULL: the host has no such unit */
	char *definition; /* its unit file and drop-ins as `systemctl cat` shows them; NULL: unknown
			   */
	char *log; /* what it said in this run, and if it fails in the one before; NULL: nothing */
	uint64_t up_seconds; /* since its last start; 0 where it does not run */
	uint64_t restarts;   /* by systemd, since somebody started it last */
};

struct byoh_kubeconfig_evidence {
	bool exists;
	mode_t mode;
	char *fault;	    /* why it cannot be used; NULL: it can be read */
	char *server;
	struct byoh_buffer ca;
	bool has_token;
	char *token_id; /* the public half of a bootstrap token; NULL: none, or a token of another
			   form */
	bool has_certificate;
	char *identity;	    /* the certificate's common name */
	uint64_t not_before, not_after; /* of the certificate; 0: unknown */
};

enum byoh_doctor_kubeconfig {
	BYOH_DOCTOR_KUBELET_BOOTSTRAP,
	BYOH_DOCTOR_KUBELET_KUBECONFIG,
	BYOH_DOCTOR_AGENT_BOOTSTRAP,
	BYOH_DOCTOR_AGENT_CONFIG,
	BYOH_DOCTOR_KUBECONFIGS,
};

struct byoh_cni_file {
	char *name;
	char *fault;	      /* why it is no configuration; NULL: it is one */
	char *missing_plugin; /* a program that it needs and that is not there; NULL: all are */
};

struct byoh_drift_evidence {
	const char *kind; /* as byoh_action_kind_name */
	char *subject;
	const char *word; /* as byoh_report_word */
	bool by_agent;
};

struct byoh_csr_evidence {
	char *name, *signer;
	char *identity; /* the common name that it asks for; NULL: unreadable */
	const char *state; /* "pending", "approved", "issued", "denied", "failed" */
	char *reason;	/* of a denial */
	char created[32]; /* as the API server writes times, so that they compare as texts */
	bool other_key; /* asks for another key than the one that waits here */
};

struct byoh_disk_evidence {
	const char *what; /* "nodefs", "imagefs": as the kubelet calls them */
	char *path;
	uint64_t total, available, inodes, free_inodes; /* total 0: unknown */
	uint64_t least, least_inodes; /* what the kubelet wants free */
	char *mount; /* the highest folder of that file system above the path; NULL: unknown */
};

struct byoh_api_evidence {
	bool asked;
	int failure;	 /* 0: there was an answer, else a positive errno of installer/net/api.h */
	char *message;	 /* of the failure */
	const char *identity; /* as whom it was asked: "node", "agent", "token", NULL: as nobody */
	unsigned int status;  /* of the question as that identity; 401: it is not known */
	bool node_known;      /* whether there is a Node of this host's name could be asked */
	bool node_exists;
	char *node_machine_id, *node_address;
	char *ready, *ready_reason, *ready_message; /* of the condition Ready; NULL: it has none */
	bool disk_pressure;
	size_t csr_count;
	struct byoh_csr_evidence *csrs; /* those that are about this host */
};

struct byoh_evidence {
	const struct byoh_host *host; /* borrowed */
	const struct byoh_config
		*config; /* borrowed; the installed one, NULL: none could be read */
	bool installed;
	char *kubernetes;	/* version; NULL: unknown */
	char *transaction; /* what keeps an earlier run from being settled; NULL: nothing is open */
	char *release_fault;	/* why what is installed cannot be compared; NULL: it could */
	struct byoh_node_state node;
	struct byoh_unit_evidence units[BYOH_DOCTOR_UNITS];
	struct byoh_kubeconfig_evidence kubeconfigs[BYOH_DOCTOR_KUBECONFIGS];
	size_t drift_count;
	struct byoh_drift_evidence *drifts;

	struct {
		uint64_t now, rtc;	/* seconds since 1970; rtc 0: there is none */
		uint64_t installed_at;	/* by this host's clock then; 0: unknown */
		uint64_t ca_not_before, ca_not_after; /* of the cluster's CA; 0: unknown */
	} time;

	struct {
		bool configured;	/* there is a configuration */
		unsigned int cri_disabled_line; /* 0: CRI is not switched off */
		char *fault;		/* why the configuration cannot be read */
		char *sandbox_image;	/* NULL: not said */
		int systemd_cgroup;	/* -1: not said, else false or true */
		bool asked, answers;
		bool images_known;
		struct byoh_strings images; /* names in the namespace k8s.io */
		char *cri;		/* the plugin: "ok", "error", "skip"; NULL: unknown */
	} containerd;

	struct {
		bool exists;
		char *fault;
		char *cgroup_driver;	/* NULL: not said */
		char *ca_file;
		bool swap_allowed, serving_bootstrap;
		char *resolv_conf;	/* the file that pods' resolvers are made from */
		bool resolv_exists;
		char *resolv_loop;	/* a server in it that is this host itself; NULL: none */
		bool ca_exists;
		bool serving_certificate; /* there is one */
		bool asks;		/* its key waits for a certificate */
		bool answers;		/* on its health port */
	} kubelet;

	size_t cni_count;
	struct byoh_cni_file *cni_files; /* in the order in which containerd takes them */

	struct {
		bool known;
		bool default_route;
		char *port_owner; /* "nc (pid 812)": who listens on 10250 and is no kubelet; NULL:
				     nobody */
		size_t legacy_rules; /* in the kernel's tables of iptables-legacy; 0: also unknown */
		char *iptables;	   /* its version line; NULL: unknown */
		char *firewall;	   /* one that runs and does not let 10250 in; NULL: none seen */
	} net;

	struct byoh_disk_evidence disks[2];
	bool kubeadm_join_config; /* what a claim in kubeadm mode left for `kubeadm join` */
	char *claim_said; /* the agent's word, since that was left, that the host has joined; NULL: none */
	struct byoh_api_evidence api;
};

void byoh_evidence_release(struct byoh_evidence *evidence);
#define CLEANUP_EVIDENCE __attribute__((cleanup(byoh_evidence_release)))

/* The last line of a log with that text in it (capitals and small letters are the same); NULL if
 * there is none. The length is up to the end of the line. */
const char *byoh_log_find(const char *log, const char *needle, size_t *ret_length);

/* Of `journalctl -o short-monotonic` of one unit: what counts, without times and names. That is
 * what was said since the last start, and with failing also before it since the start before;
 * nothing older than that many seconds before now, which counts like the journal since boot (0:
 * however old). Pure. */
BYOH_MUST_CHECK int byoh_journal_cut(const char *text, bool failing, double now,
				     unsigned int seconds, struct byoh_buffer *ret,
				     struct byoh_error *err);

#endif
