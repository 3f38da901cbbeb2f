import { defineNotifier, type Notification } from "../src/catalogue/catalogue.ts";
import { ActionError, type ErrorCode } from "../src/catalogue/errors.ts";
import { type Http, type HttpRequest, refusalOf } from "../src/clients/http/port.ts";
import { choice, flag, integer, longText, secret, text, type ValuesOf } from "../src/schema/field.ts";
import {
  basic,
  deliver,
  headerFaults,
  httpSettings,
  isSuccess,
  loginFaults,
  type RequestContent,
  requestTo,
  secretUrl,
  token,
} from "./endpoint.ts";
import { idOf } from "./message.ts";
import { fieldsOf, recordOf } from "./record.ts";
import { render, templateFaults } from "./template.ts";

const settings = {
  url: secretUrl("Address of Elasticsearch or OpenSearch"),
  user: text("User, for basic authentication", { minLength: 1 }),
  password: secret("The user's password"),
  api_key: secret("API key (encoded), instead of user and password"),
  index: text("Index, without the suffix; or data stream", {
    default: "falco-talon",
    pattern: "^[a-z0-9][a-z0-9._-]{0,199}$",
  }),
  suffix: choice(
    "Which part of the date (UTC) ends the index: `-2026.11.21`, `-2026.11`, `-2026` or none",
    ["daily", "monthly", "annually", "none"],
    { default: "daily" },
  ),
  data_stream: flag("Write to a data stream that `index` names; `suffix` has no effect then", { default: false }),
  create_index_template: flag("Create an index template named like `index`, unless there is one of that name", {
    default: true,
  }),
  number_of_shards: integer("Shards of an index, in the template", { default: 3, minimum: 1 }),
  number_of_replicas: integer("Replicas of an index, in the template", { default: 3, minimum: 0 }),
  template: longText("Liquid template of the document's `message`"),
  ...httpSettings,
};

type Settings = ValuesOf<typeof settings>;

export const elasticsearch = defineNotifier({
  id: "elasticsearch",
  summary: "Index each outcome in Elasticsearch or OpenSearch",
  description: [
    "One document for each outcome, with an id of its own: one that is sent again (after a lost answer) is there once. It needs the",
    "privilege `create_doc` (or `index`) on the indices, `auto_configure` where they are to come into being, and for the index template the",
    "cluster privilege `manage_index_templates`. Without that one documents are written all the same, and say so under `note`; a data stream",
    "is not written without a template.",
    "The template is asked for once in a process, and one that is there, Talon's too, stays as it is. The event's output fields stand under",
    "`falco.fields` as texts (`proc.name=nc`), so that no event adds fields to an index; long texts are cut.",
  ].join("\n"),
  uses: ["http"],
  rbac: [],
  settings,

  check: (settings) => [
    ...loginFaults(settings, "api_key"),
    ...headerFaults(settings.custom_headers, {
      setting: "api_key",
      header: "Authorization",
      value: settings.api_key?.reveal(),
    }),
    ...templateFaults({ template: { template: settings.template, medium: "text" } }),
  ],

  async prepare({ settings, clients: { http }, signal }) {
    if (!settings.create_index_template) {
      return undefined;
    }
    try {
      await ensureTemplate(settings, http, signal);
      return undefined;
    } catch (error) {
      if (error instanceof ActionError && refusals.includes(error.code) && !settings.data_stream) {
        return `the index template ${settings.index} could not be created: ${error.message}`;
      }
      throw error;
    }
  },

  async notify({ notification, settings, clients, signal, note }) {
    const index = indexAt(notification.at, settings);
    const request = requestOf(settings, {
      method: "PUT",
      path: `/${index}/_create/${idOf(notification)}`,
      json: documentOf(notification, settings.template, note),
    });

    const answer = await clients.http.send(request, signal);

    if (!isSuccess(answer) && answer.status !== isThereAlready) {
      throw refusalOf(request, answer);
    }
  },
});

const isThereAlready = 409;
/** Asked again, it would say the same. */
const refusals: readonly ErrorCode[] = ["forbidden", "invalid", "not_found", "conflict"];

function requestOf(settings: Settings, content: RequestContent): HttpRequest {
  const { url, user, password, api_key: key } = settings;
  const credentials = token("ApiKey", key) ?? basic(user, password);
  return requestTo(new URL(url.reveal()), content, { ...settings, credentials });
}

/** Lengths of the start of a time (RFC 3339). */
const dateLengths: Readonly<Record<Settings["suffix"], number>> = { daily: 10, monthly: 7, annually: 4, none: 0 };

/** `at` is UTC. */
function indexAt(at: string, { index, suffix, data_stream: isStream }: Settings): string {
  const date = at.slice(0, dateLengths[suffix]).replaceAll("-", ".");
  return isStream || date === "" ? index : `${index}-${date}`;
}

function documentOf(notification: Notification, template: string | undefined, remark: string | undefined): object {
  const { text: message, note } = render(template, "text", notification);
  const record = recordOf(notification);
  const fields = fieldsOf(notification.event).map(([name, value]) => `${name}=${value}`);
  const notes = [note, remark].filter((one) => one !== undefined).join("; ");
  return {
    "@timestamp": notification.at,
    ...record,
    ...(message !== undefined && { message }),
    falco: { ...record.falco, fields },
    ...(notes !== "" && { note: notes }),
  };
}

async function ensureTemplate(settings: Settings, http: Http, signal: AbortSignal): Promise<void> {
  const path = `/_index_template/${settings.index}`;
  const looking = requestOf(settings, { method: "HEAD", path });
  const found = await http.send(looking, signal);
  if (isSuccess(found)) {
    return;
  }
  if (found.status !== 404) {
    throw refusalOf(looking, found);
  }
  const making = requestOf(settings, { method: "PUT", path, query: "create=true", json: indexTemplateOf(settings) });
  try {
    await deliver(making, http, signal);
  } catch (error) {
    // Another Hallux may have been first.
    if (!isSuccess(await http.send(looking, signal))) {
      throw error;
    }
  }
}

const keyword = { type: "keyword", ignore_above: 1024 };
const words = { type: "text" };
const date = { type: "date", ignore_malformed: true };
const long = { type: "long" };

/** Without a priority, so that a template of the user's own for these indices goes before. */
function indexTemplateOf({ index, suffix, data_stream: isStream, ...settings }: Settings): object {
  return {
    index_patterns: [isStream || suffix === "none" ? index : `${index}-*`],
    ...(isStream && { data_stream: {} }),
    template: {
      settings: { number_of_shards: settings.number_of_shards, number_of_replicas: settings.number_of_replicas },
      mappings: { dynamic: false, properties },
    },
    _meta: { description: "outcomes of Hallux's actions" },
  };
}

/** What is not named here is kept and not searched. */
const properties = {
  "@timestamp": { type: "date" },
  time: date,
  status: keyword,
  code: keyword,
  would: keyword,
  rule: keyword,
  action: keyword,
  actionner: keyword,
  message: words,
  target: keyword,
  objects: { properties: { namespace: keyword, pod: keyword, node: keyword } },
  event: words,
  result: words,
  artifact: { properties: { output: keyword, location: keyword, bytes: long, sha256: keyword } },
  undo: words,
  duration_ms: long,
  response: keyword,
  note: words,
  falco: {
    properties: {
      rule: keyword,
      priority: keyword,
      source: keyword,
      hostname: keyword,
      time: date,
      uuid: keyword,
      tags: keyword,
      fields: keyword,
    },
  },
};
