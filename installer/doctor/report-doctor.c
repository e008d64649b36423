/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/doctor/report-doctor.h"

#include "bundle/base/json.h"

static void tell_finding(const struct byoh_finding *finding, FILE *out)
{
	fprintf(out, "%s: %s\n", finding->cause->id, finding->what);
	for (size_t i = 0; i < finding->evidence_count; i++)
		fprintf(out, "  saw: %s: %s\n", finding->evidence[i].source,
			finding->evidence[i].text);
	for (size_t i = 0; i < finding->remedy_count; i++)
		fprintf(out, "  do:  %s\n", finding->remedies[i]);
}

static const char *reach(const struct byoh_evidence *evidence)
{
	if (!evidence->api.asked)
		return "the API server was not asked: this host knows none";
	return evidence->api.failure
		       ? "the API server could not be asked, so that what it knows is missing here"
		       : NULL;
}

void byoh_report_doctor(const struct byoh_evidence *evidence,
			const struct byoh_diagnosis *diagnosis, FILE *out)
{
	const char *note =
		evidence->host->live ? reach(evidence) : "below --root only files are looked at";

	for (size_t i = 0; i < diagnosis->symptom_count; i++)
		fprintf(out, "symptom: %s\n", diagnosis->symptoms[i]);
	if (!diagnosis->count)
		fprintf(out, "nothing is known to be wrong%s%s\n",
			evidence->node.node ? "; the node: " : "",
			evidence->node.node ? evidence->node.node : "");
	for (size_t i = 0; i < diagnosis->count; i++) {
		if (i == 1)
			fputs("also seen, and independent of it:\n", out);
		tell_finding(&diagnosis->findings[i], out);
	}
	if (note)
		fprintf(out, "note: %s\n", note);
}

static void add_finding(const struct byoh_finding *finding, struct byoh_json *json)
{
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "id", finding->cause->id);
	byoh_json_field_string(json, "what", finding->what);
	byoh_json_key(json, "evidence");
	byoh_json_begin_array(json);
	for (size_t i = 0; i < finding->evidence_count; i++) {
		byoh_json_begin_object(json);
		byoh_json_field_string(json, "source", finding->evidence[i].source);
		byoh_json_field_string(json, "text", finding->evidence[i].text);
		byoh_json_end_object(json);
	}
	byoh_json_end_array(json);
	byoh_json_key(json, "remedies");
	byoh_json_begin_array(json);
	for (size_t i = 0; i < finding->remedy_count; i++)
		byoh_json_string(json, finding->remedies[i]);
	byoh_json_end_array(json);
	byoh_json_end_object(json);
}

static const char *api_word(const struct byoh_api_evidence *api)
{
	if (!api->asked)
		return "notAsked";
	return api->failure ? "failed" : "answered";
}

int byoh_report_doctor_json(const struct byoh_evidence *evidence,
			    const struct byoh_diagnosis *diagnosis, struct byoh_buffer *ret,
			    struct byoh_error *err)
{
	struct byoh_json json = byoh_json_to(ret);

	byoh_json_begin_object(&json);
	byoh_json_field_bool(&json, "healthy", diagnosis->count == 0);
	byoh_json_field_string(&json, "api", api_word(&evidence->api));
	byoh_json_key(&json, "symptoms");
	byoh_json_begin_array(&json);
	for (size_t i = 0; i < diagnosis->symptom_count; i++)
		byoh_json_string(&json, diagnosis->symptoms[i]);
	byoh_json_end_array(&json);
	byoh_json_key(&json, "cause");
	if (diagnosis->count)
		add_finding(&diagnosis->findings[0], &json);
	else
		byoh_json_string(&json, NULL);
	byoh_json_key(&json, "alsoSeen");
	byoh_json_begin_array(&json);
	for (size_t i = 1; i < diagnosis->count; i++)
		add_finding(&diagnosis->findings[i], &json);
	byoh_json_end_array(&json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}
