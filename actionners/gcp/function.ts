import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { success } from "../../src/catalogue/outcome.ts";
import { integer, text } from "../../src/schema/field.ts";

/** To get the tokens and to find the function. */
const preparationSeconds = 15;

export const cloudFunction = defineActionner({
  id: "gcp:function",
  summary: "Call a Google Cloud function with the event",
  description: [
    "The function receives a POST with the event as it was sent, every digit of its numbers included, and under `context` what",
    "the action's `additional_contexts` found. Any 2xx answer is a success.",
    "",
    "Hallux says who it is by an ID token: of the service account whose key, or of the workload identity federation whose",
    "configuration, `gcp.credentials_path` (or `GOOGLE_APPLICATION_CREDENTIALS`) names; without it, of the metadata server (GKE's",
    "Workload Identity Federation, Compute Engine). The project is that of the key, of the federation's pool, or of the machine.",
    "The service account needs `cloudfunctions.functions.get` (`roles/cloudfunctions.viewer`), and on the function",
    "`run.routes.invoke` (`roles/run.invoker`; 1st generation: `roles/cloudfunctions.invoker`). See the",
    "[guide](../functions.md#google-cloud).",
  ].join("\n"),
  target: "none",
  params: {
    gcp_function_name: text(
      "The function's name, or all of it for one of another project: `projects/…/locations/…/functions/…`",
      {
        required: true,
        pattern: "^(projects/[a-z0-9.:-]+/locations/[a-z0-9-]+/functions/)?[A-Za-z][A-Za-z0-9_-]*$",
      },
    ),
    gcp_function_location: text("Its region, where its name does not say", {
      default: "us-central1",
      pattern: "^[a-z0-9-]+$",
    }),
    gcp_function_timeout: integer("Seconds that the function may take; 0: as long as any action", {
      default: 0,
      minimum: 0,
      maximum: 3600,
    }),
  },
  uses: ["gcp"],
  rbac: [],
  destructive: false,
  idempotent: false,
  continues: true,
  output: "none",
  undo: "What the function did, only the function can take back.",
  timeoutSeconds: ({ gcp_function_timeout: seconds }) => (seconds === 0 ? 0 : seconds + preparationSeconds),
  examples: [
    { title: "Call a function and wait for its answer", parameters: { gcp_function_name: "isolate-instance" } },
    {
      title: "Give a function in another project and region a minute",
      parameters: {
        gcp_function_name: "projects/forensics/locations/europe-west1/functions/collect-evidence",
        gcp_function_timeout: 60,
      },
    },
  ],

  async run({ event, params, facts, clients, dryRun, signal }) {
    const { gcp_function_name: name, gcp_function_location: location, gcp_function_timeout: seconds } = params;
    const call = {
      name,
      location,
      payload: JSON.stringify({ ...event.sent, context: facts }),
      timeoutMs: seconds === 0 ? undefined : seconds * 1000,
    };

    const { status, body } = await clients.gcp.callFunction(call, signal);

    return success(`function ${name} called`, {
      objects: {
        function: name,
        ...(name.includes("/") ? {} : { location }),
        // In a dry run nobody was asked.
        ...(dryRun ? {} : { status: String(status) }),
      },
      ...(body === "" ? {} : { text: body }),
    });
  },
});
