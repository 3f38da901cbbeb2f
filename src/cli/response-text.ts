import type { ActionReport, ActionStatus, ResponseReport, ResponseSummary } from "../api/shapes.ts";
import { renderTable } from "../catalogue/render.ts";
import { printable } from "../telemetry/logs.ts";
import { jsonText, yamlText } from "./encode.ts";

/** Prints a list page by page: it need not fit into memory. */
export interface ListPrinter {
  page(responses: readonly ResponseSummary[]): string;
  /** What comes after the last page. */
  end(): string;
}

export function listPrinter(format: "table" | "json" | "yaml", now: string): ListPrinter {
  switch (format) {
    case "table":
      return tablePrinter(now);
    case "json":
      return jsonPrinter();
    case "yaml":
      return yamlPrinter();
  }
}

const header = ["RESPONSE", "AGE", "RULE", "TARGET", "STATUS", "ACTIONS"];

function tablePrinter(now: string): ListPrinter {
  let begun = false;
  return {
    page(responses) {
      const table =
        responses.length === 0
          ? ""
          : renderTable([header, ...responses.map((one) => row(one, now))], Number.POSITIVE_INFINITY);
      const text = begun ? table.slice(table.indexOf("\n") + 1) : table;
      begun ||= responses.length > 0;
      return text;
    },
    end: () => (begun ? "" : "no responses\n"),
  };
}

function row({ id, planned_at, rule, target, status, actions }: ResponseSummary, now: string): readonly string[] {
  const acts = actions.map((action) => `${action.actionner} ${words(action.status)}${inBrackets(action.code)}`);
  return [id, ageOf(planned_at, now), rule, target, words(status), acts.join(", ")].map(printable);
}

function jsonPrinter(): ListPrinter {
  let begun = false;
  return {
    page(responses) {
      const items = responses.map((one) => indented(jsonText(one)));
      const text = items.length === 0 ? "" : `${begun ? "," : "["}\n${items.join(",\n")}`;
      begun ||= items.length > 0;
      return text;
    },
    end: () => (begun ? "\n]\n" : "[]\n"),
  };
}

function yamlPrinter(): ListPrinter {
  let begun = false;
  return {
    page(responses) {
      begun ||= responses.length > 0;
      return responses.length === 0 ? "" : yamlText(responses);
    },
    end: () => (begun ? "" : "[]\n"),
  };
}

/** One response for a person: what happened, what was done, who was told. */
export function reportText(report: ResponseReport, now: string): string {
  const { id, rule, target, status, planned_at, closed_at, event, event_id, actions, repeats } = report;
  return [
    printable(`Response ${id}: ${words(status)}`),
    "",
    "What happened",
    ...rows([
      ["Falco rule", event.rule],
      ["priority", event.priority],
      ["output", event.output],
      ["time", event.time],
      ["received", `${event.received_at} (${ageOf(event.received_at, now)} ago)`],
      ["source", event.source],
      ["host", event.hostname],
      ["event", event_id],
    ]),
    "",
    "What matched",
    ...rows([
      ["rule", rule],
      ["target", withUid(target, report.target_uid)],
      ["planned", planned_at],
      ["closed", closed_at ?? "not yet: it goes on"],
    ]),
    "",
    "What was done",
    ...actions.flatMap((action, index) => actionLines(action, index + 1)),
    "",
    "Who was told",
    ...notificationLines(actions),
    ...(repeats.length === 0 ? [] : ["", "Repeated by", ...rows(repeats.map(({ at, event_id }) => [at, event_id]))]),
    "",
  ].join("\n");
}

function actionLines(action: ActionReport, number: number): readonly string[] {
  const {
    name,
    actionner,
    status,
    would,
    code,
    duration_ms,
    message,
    objects,
    artifact,
    undo,
    text,
    attempts = 0,
  } = action;
  const ending = `${words(status)}${would === undefined ? "" : `, would be ${words(would)}`}${inBrackets(code)}`;
  const time = duration_ms === undefined ? "" : `, ${Math.round(duration_ms)} ms`;
  return [
    printable(`  ${number}. ${name} (${actionner}): ${ending}${time}`),
    ...rows([
      ["message", message],
      ["attempts", attempts > 1 ? String(attempts) : undefined],
      ...action.failed_attempts.map(
        (one) => [`failed`, `${one.at} attempt ${one.attempt}: ${one.code}: ${one.message}`] as const,
      ),
      ["target", action.target && withUid(action.target, action.target_uid)],
      [
        "objects",
        Object.entries(objects)
          .map(([kind, object]) => `${kind}=${object}`)
          .join(" "),
      ],
      ["artifact", artifact && `${artifact.output} ${artifact.location} (${artifact.bytes} bytes)`],
      ["sha256", artifact?.sha256],
      ["undo", undo],
    ]).map((line) => `   ${line}`),
    ...textLines(text).map((line) => `     ${line}`),
  ];
}

/** What the action read, line by line. */
function textLines(text: string | undefined): readonly string[] {
  return text === undefined || text === ""
    ? []
    : text
        .replace(/\r?\n$/, "")
        .split(/\r?\n/)
        .map((line) => `| ${printable(line.replaceAll("\t", "    "))}`);
}

function notificationLines(actions: readonly ActionReport[]): readonly string[] {
  const told = actions.flatMap(({ name, notifications }) =>
    notifications.map(({ notifier, at, error }) => {
      const result = error === undefined ? "delivered" : `failed: ${error}`;
      return [notifier, `${at} of ${name}: ${result}`] as const;
    }),
  );
  return told.length === 0 ? ["  nobody"] : rows(told);
}

/** Labels and values in two columns; without those that have no value. */
function rows(fields: readonly (readonly [string, string | undefined])[]): readonly string[] {
  const known = fields.filter(([, value]) => value !== undefined && value !== "");
  return known.map(([label, value = ""]) => `  ${printable(label).padEnd(labelWidth)} ${printable(value)}`);
}

const labelWidth = 10;

function withUid(target: string, uid: string | undefined): string {
  return uid === undefined ? target : `${target} (UID ${uid})`;
}

function words(status: ActionStatus | "open"): string {
  return status.replace("_", " ");
}

function inBrackets(text: string | undefined): string {
  return text === undefined ? "" : ` (${text})`;
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, "  ");
}

const units = [
  ["d", 86_400_000, 2],
  ["h", 3_600_000, 2],
  ["m", 60_000, 2],
] as const;

/** As kubectl shows ages: `45s`, `12m`, `5h`, `3d`. */
export function ageOf(at: string, now: string): string {
  const age = Math.max(0, Date.parse(now) - Date.parse(at));
  const unit = units.find(([, length, from]) => age >= from * length);
  return unit === undefined ? `${Math.floor(age / 1000)}s` : `${Math.floor(age / unit[1])}${unit[0]}`;
}
