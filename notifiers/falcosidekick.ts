import { defineNotifier, type Notification } from "../src/catalogue/catalogue.ts";
import type { OutcomeStatus } from "../src/catalogue/outcome.ts";
import { ownSource } from "../src/events/event.ts";
import type { Priority } from "../src/events/priority.ts";
import type { Target } from "../src/events/target.ts";
import { longText } from "../src/schema/field.ts";
import { deliver, headerFaults, httpSettings, requestTo, secretUrl } from "./endpoint.ts";
import { withoutMentions } from "./mentions.ts";
import { clip, idOf, messageOf, plain } from "./message.ts";
import { render, templateFaults } from "./template.ts";

export const falcosidekick = defineNotifier({
  id: "falcosidekick",
  summary: "Send each outcome to Falcosidekick as an event, for all of its outputs and its UI",
  description: [
    "The event's rule is `Hallux: ` and the name of the rule that responded, its source `hallux`, its tags `hallux` and the outcome. Its",
    "priority is `Error` for a failure, `Warning` for what was refused or expired, `Notice` for a success, else `Informational`.",
    "Falcosidekick may send these events to Hallux again. There they match only rules that say `source: hallux`, and the outcomes of",
    "those are not sent to Falcosidekick, so that nothing goes round.",
  ].join("\n"),
  uses: ["http"],
  rbac: [],
  settings: {
    url: secretUrl("Address of Falcosidekick, such as `http://falcosidekick.falco:2801`"),
    template: longText("Liquid template of the event's `output`, which is one line of at most 2 KiB"),
    ...httpSettings,
  },

  check: ({ custom_headers, template }) => [
    ...headerFaults(custom_headers),
    ...templateFaults({ template: { template, medium: "line" } }),
  ],

  async notify({ notification, settings, clients, signal }) {
    if (notification.event.source === ownSource) {
      return;
    }
    const json = eventOf(notification, settings.template);
    const content = { method: "POST", path: "", json };
    const request = requestTo(new URL(settings.url.reveal()), content, { ...settings, credentials: undefined });

    await deliver(request, clients.http, signal);
  },
});

const maxOutputBytes = 2048;
const maxValueBytes = 512;

const priorityOf: Readonly<Record<OutcomeStatus, Priority>> = {
  failure: "Error",
  refused: "Warning",
  expired: "Warning",
  success: "Notice",
  ignored: "Informational",
  dry_run: "Informational",
};

function eventOf(notification: Notification, template: string | undefined): object {
  const { event, rule, outcome, at } = notification;
  return {
    uuid: idOf(notification).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-"),
    rule: cut(`Hallux: ${rule.name}`),
    priority: priorityOf[outcome.status],
    source: ownSource,
    hostname: event.hostname === undefined ? undefined : cut(event.hostname),
    time: at,
    tags: ["hallux", outcome.status],
    output: outputOf(notification, template),
    output_fields: fieldsOf(notification),
  };
}

/** Falcosidekick takes no empty one. */
function outputOf(notification: Notification, template: string | undefined): string {
  const { text: written = "", note } = render(template, "line", notification);
  const { headline, line } = messageOf(notification);
  const words = written === "" ? [headline, line, note].filter((part) => part !== undefined).join("; ") : written;
  return withoutMentions(clip(words, maxOutputBytes));
}

/** Falcosidekick takes texts only for the names of pod and namespace; for Loki and the like the others are easier as texts, too. */
function fieldsOf({ event, rule, action, outcome, response }: Notification): Readonly<Record<string, string>> {
  const fields = {
    ...placeOf(outcome.target),
    "hallux.rule": rule.name,
    "hallux.action": action.name,
    "hallux.actionner": action.actionner,
    "hallux.status": outcome.status,
    "hallux.code": outcome.code,
    "hallux.message": outcome.message,
    "hallux.undo": outcome.undo,
    "hallux.artifact": outcome.artifact?.location,
    "hallux.response": response,
    "hallux.event.rule": event.rule,
    "hallux.event.priority": event.priority,
    "hallux.event.uuid": event.uuid,
  };
  const given = Object.entries(fields).filter((field): field is [string, string] => field[1] !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [name, cut(value)]));
}

function placeOf(target: Target | undefined): Readonly<Record<string, string>> {
  switch (target?.kind) {
    case "pod":
      return { "k8s.ns.name": target.namespace, "k8s.pod.name": target.name };
    case "resource": {
      const { namespace, resource, name } = target;
      return {
        ...(namespace !== undefined && { "ka.target.namespace": namespace }),
        "ka.target.resource": resource,
        "ka.target.name": name,
      };
    }
    default:
      return {};
  }
}

function cut(text: string): string {
  return withoutMentions(clip(plain(text), maxValueBytes));
}
