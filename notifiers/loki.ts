import { defineNotifier, type Notification } from "../src/catalogue/catalogue.ts";
import { longText, secret, text } from "../src/schema/field.ts";
import { basic, deliver, headerFaults, httpSettings, pairFaults, requestTo, secretUrl } from "./endpoint.ts";
import { clip, plain } from "./message.ts";
import { fieldsOf, recordOf } from "./record.ts";
import { render, templateFaults } from "./template.ts";

export const loki = defineNotifier({
  id: "loki",
  summary: "Push each outcome to Loki as a line of JSON",
  description: [
    'The labels of its stream are few, and nothing of the event is among them but its priority: `app="hallux"`, `status`, `rule`, `action`,',
    "`actionner`, `priority`. Names in them are lower case with `_` for blanks. Everything else stands in the line, for `| json`: the target,",
    "the message, what the action read, how to undo it, the event's `output_fields`; long texts are cut.",
    "A `template` gives another line. The time is that of the outcome, so a push that is repeated leaves one entry.",
  ].join("\n"),
  uses: ["http"],
  rbac: [],
  settings: {
    url: secretUrl("Address of Loki, with or without `/loki/api/v1/push`"),
    user: text("User, for basic authentication", { minLength: 1 }),
    api_key: secret("The user's password or API key"),
    tenant: text("Tenant, sent as `X-Scope-OrgID`", { minLength: 1 }),
    template: longText("Liquid template of the line, in place of the JSON"),
    ...httpSettings,
  },

  check: (settings) => [
    ...pairFaults(settings, "user", "api_key"),
    ...headerFaults(settings.custom_headers, { setting: "tenant", header: "X-Scope-OrgID", value: settings.tenant }),
    ...templateFaults({ template: { template: settings.template, medium: "text" } }),
  ],

  async notify({ notification, settings, clients, signal }) {
    const { url, user, api_key: key, tenant, template } = settings;
    const request = requestTo(
      new URL(url.reveal()),
      {
        method: "POST",
        path: "/loki/api/v1/push",
        headers: tenant === undefined ? {} : { "x-scope-orgid": tenant },
        json: pushOf(notification, template),
      },
      { ...settings, credentials: basic(user, key) },
    );

    await deliver(request, clients.http, signal);
  },
});

const maxLabelBytes = 128;
/** Loki's own limit is 256 KiB, unless it is configured otherwise. */
const maxLineBytes = 192 * 1024;

function pushOf(notification: Notification, template: string | undefined): object {
  const nanoseconds = `${BigInt(Date.parse(notification.at)) * 1_000_000n}`;
  const values = [[nanoseconds, lineOf(notification, template)]];
  return { streams: [{ stream: labelsOf(notification), values }] };
}

/** Each set of them is a stream for Loki to keep open: they come from closed lists and from the rules file. */
function labelsOf({ event, rule, action, outcome }: Notification): Readonly<Record<string, string>> {
  return {
    app: "hallux",
    status: outcome.status,
    rule: labelValue(rule.name),
    action: labelValue(action.name),
    actionner: action.actionner,
    priority: event.priority.toLowerCase(),
  };
}

/** As Talon writes them. */
function labelValue(name: string): string {
  return clip(plain(name).toLowerCase().replaceAll(/\s/g, "_"), maxLabelBytes);
}

function lineOf(notification: Notification, template: string | undefined): string {
  const { text: written, note } = render(template, "text", notification);
  if (written !== undefined) {
    return clip(written, maxLineBytes);
  }
  const output_fields = Object.fromEntries(fieldsOf(notification.event));
  return JSON.stringify({ ...recordOf(notification), output_fields, note });
}
