import { defineNotifier, type Notification } from "../src/catalogue/catalogue.ts";
import { isPassing } from "../src/catalogue/errors.ts";
import { type OutcomeStatus, outcomeStatuses } from "../src/catalogue/outcome.ts";
import type { Http, HttpRequest } from "../src/clients/http/port.ts";
import type { Target } from "../src/events/target.ts";
import { integer, longText, secret, text, textList, type ValuesOf } from "../src/schema/field.ts";
import { basic, deliver, headerFaults, httpSettings, loginFaults, requestTo, token } from "./endpoint.ts";
import { withoutMentions } from "./mentions.ts";
import { clip, messageOf, plain, textOf } from "./message.ts";
import { render, templateFaults } from "./template.ts";

const settings = {
  urls: textList("Addresses of Alertmanager: of each member of a cluster, for every one of them is sent each alert", {
    required: true,
    minItems: 1,
    items: { type: "string", format: "uri", pattern: "^[Hh][Tt][Tt][Pp][Ss]?://[^@]*$" },
  }),
  user: text("User, for basic authentication", { minLength: 1 }),
  password: secret("The user's password"),
  bearer_token: secret("Token, instead of user and password"),
  statuses: textList("Outcomes that raise an alert", {
    default: ["failure", "refused", "expired"],
    minItems: 1,
    items: { enum: outcomeStatuses },
  }),
  active_minutes: integer(
    "Time for which an alert fires; longer than the `group_interval` of its route, or it may end before anybody is told",
    { default: 60, minimum: 1, maximum: 10_080 },
  ),
  template: longText("Liquid template of the annotation `description`"),
  ...httpSettings,
};

type Settings = ValuesOf<typeof settings>;

export const alertmanager = defineNotifier({
  id: "alertmanager",
  summary: "Raise an alert in Prometheus' Alertmanager for actions that did not do what a rule asked",
  description: [
    'Labels: `alertname="HalluxResponse"`, `rule`, `action`, `actionner`, `status`, `severity`, `priority` (of Falco\'s event), and of the target',
    "`namespace` and `pod`, or `resource` and `name`. An outcome with the same labels renews the alert. `severity` is `critical` for a",
    "failure, `warning` for what was refused or expired, else `info`. Annotations: `summary`, `description`, `undo`, `response`.",
    "It counts as delivered where one of the Alertmanagers has taken it.",
  ].join("\n"),
  uses: ["http"],
  rbac: [],
  settings,

  check: (settings) => [
    ...loginFaults(settings, "bearer_token"),
    ...headerFaults(settings.custom_headers, {
      setting: "bearer_token",
      header: "Authorization",
      value: settings.bearer_token?.reveal(),
    }),
    ...templateFaults({ template: { template: settings.template, medium: "text" } }),
  ],

  async notify({ notification, settings, clients, signal }) {
    if (!settings.statuses.includes(notification.outcome.status)) {
      return;
    }
    const { urls, user, password, bearer_token: bearer } = settings;
    const content = { method: "POST", path: "/api/v2/alerts", json: [alertOf(notification, settings)] };
    const means = { ...settings, credentials: token("Bearer", bearer) ?? basic(user, password) };
    const requests = urls.map((url) => requestTo(new URL(url), content, means));

    await deliverToAny(requests, clients.http, signal);
  },
});

/** For the other members, once one has taken the alert. */
const othersMs = 2_000;
const maxLabelBytes = 253;
const maxDescriptionBytes = 16 * 1024;

/** Sends all of them, and throws where none was taken. */
async function deliverToAny(requests: readonly HttpRequest[], http: Http, signal: AbortSignal): Promise<void> {
  const others = new AbortController();
  const within = AbortSignal.any([signal, others.signal]);
  const sent = requests.map((request) => deliver(request, http, within));
  const afterFirst = Promise.any(sent).then(
    () => setTimeout(() => others.abort(), othersMs),
    () => undefined,
  );
  const results = await Promise.allSettled(sent);
  clearTimeout(await afterFirst);
  const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
  if (failures.length === sent.length) {
    throw failures.find(isPassing) ?? failures[0];
  }
}

function alertOf(notification: Notification, { active_minutes: minutes, template }: Settings): object {
  const { at, response } = notification;
  const { headline, undo } = messageOf(notification);
  return {
    labels: labelsOf(notification),
    annotations: {
      summary: withoutMentions(headline),
      description: withoutMentions(descriptionOf(notification, template)),
      response,
      ...(undo !== undefined && { undo: withoutMentions(undo) }),
    },
    startsAt: at,
    endsAt: new Date(Date.parse(at) + minutes * 60_000).toISOString(),
  };
}

function descriptionOf(notification: Notification, template: string | undefined): string {
  const { text: written, note } = render(template, "text", notification);
  return clip(written ?? textOf(messageOf(notification, note)), maxDescriptionBytes);
}

const severities: Readonly<Record<OutcomeStatus, string>> = {
  failure: "critical",
  refused: "warning",
  expired: "warning",
  success: "info",
  ignored: "info",
  dry_run: "info",
};

function labelsOf({ event, rule, action, outcome }: Notification): Readonly<Record<string, string>> {
  const labels = {
    alertname: "HalluxResponse",
    rule: rule.name,
    action: action.name,
    actionner: action.actionner,
    status: outcome.status,
    severity: severities[outcome.status],
    priority: event.priority.toLowerCase(),
    ...placeOf(outcome.target),
  };
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, clip(plain(value), maxLabelBytes)]));
}

function placeOf(target: Target | undefined): Readonly<Record<string, string>> {
  switch (target?.kind) {
    case "pod":
      return { namespace: target.namespace, pod: target.name };
    case "resource": {
      const { namespace, resource, name } = target;
      return { ...(namespace !== undefined && { namespace }), resource, name: withoutMentions(name) };
    }
    default:
      return {};
  }
}
