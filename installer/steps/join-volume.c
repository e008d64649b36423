/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the configuration allows it, a volume labelled BYOHCFG that is plugged in may bring a token. systemd makes a unit
 * of every labelled volume; ours hangs on that one, and so is started once when it appears, and not again while it stays.
 * A path unit would start it over and over.
 */
#include "bundle/base/cleanup.h"
#include "installer/steps/steps-internal.h"
#include "installer/volume.h"

#define UNIT "byoh-join-volume.service"

static const char unit[] =
	"[Unit]\n"
	"Description=Take a token from the volume " BYOH_VOLUME_LABEL "\n"
	"Documentation=man:byoh-install(8)\n"
	"Wants=network-online.target\n"
	"After=network-online.target byoh-settle.service byoh-settle-images.service\n"
	"\n"
	"[Service]\n"
	"Type=oneshot\n"
	"ExecStart=" BYOH_BIN_TOOL " join --volume\n"
	"UnsetEnvironment=http_proxy https_proxy ftp_proxy no_proxy all_proxy\n"
	"UnsetEnvironment=HTTP_PROXY HTTPS_PROXY FTP_PROXY NO_PROXY ALL_PROXY\n"
	"\n"
	"[Install]\n"
	"WantedBy=dev-disk-by\\x2dlabel-" BYOH_VOLUME_LABEL ".device\n";

int byoh_step_join_volume(const struct byoh_plan_input *input, struct byoh_step *step, struct byoh_error *err)
{
	int rc;

	if (!input->config->join_volume || !byoh_steps_brings(input, BYOH_BIN_TOOL))
		return 0;
	rc = byoh_steps_text(input, step, BYOH_UNIT_DIR "/" UNIT, 0644, unit, err);
	if (!rc)
		rc = byoh_step_enable(step, UNIT, BYOH_UNIT_DIR, "dev-disk-by\\x2dlabel-" BYOH_VOLUME_LABEL ".device", err);
	return rc ? rc : byoh_step_sentence(step, err, "Let a volume " BYOH_VOLUME_LABEL " that is plugged in bring a token");
}
