import { Liquid, type Template } from "liquidjs";
import type { Notification, SettingFault } from "../src/catalogue/catalogue.ts";
import { isExactNumber, isJsonObject, type JsonValue } from "../src/events/json.ts";
import { didYouMean } from "../src/schema/problem.ts";
import { clip, messageOf, plain, plainLines, textOf } from "./message.ts";

/** What a template writes, which decides how the values in it are escaped. */
export type Medium = "line" | "text" | "html" | "mrkdwn" | "json";

interface Variable {
  readonly summary: string;
  of(notification: Notification): unknown;
}

/** What templates can say, by dotted name. Reference, check and values all come from here. */
export const variables = {
  "event.rule": { summary: "Falco's rule", of: ({ event }) => event.rule },
  "event.priority": { summary: "Its priority: `Critical`", of: ({ event }) => event.priority },
  "event.source": { summary: "Its source: `syscall`", of: ({ event }) => event.source },
  "event.hostname": { summary: "The host on which Falco saw it", of: ({ event }) => event.hostname },
  "event.time": { summary: "When Falco saw it (RFC 3339)", of: ({ event }) => event.time },
  "event.uuid": { summary: "Falcosidekick's id of the event", of: ({ event }) => event.uuid },
  "event.output": { summary: "Falco's sentence", of: ({ event }) => event.output },
  "event.tags": { summary: "The tags of Falco's rule, a list", of: ({ event }) => event.tags },
  "event.fields": {
    summary: 'The event\'s output fields: `event.fields["proc.cmdline"]`',
    of: ({ event }) => event.fields,
  },
  "rule.name": { summary: "The rule of Hallux that matched", of: ({ rule }) => rule.name },
  "rule.description": { summary: "Its description", of: ({ rule }) => rule.description },
  "action.name": { summary: "The action's name in the rule", of: ({ action }) => action.name },
  "action.actionner": { summary: "Its actionner: `kubernetes:label`", of: ({ action }) => action.actionner },
  "outcome.status": {
    summary: "`success`, `ignored`, `failure`, `refused`, `dry_run` or `expired`",
    of: ({ outcome }) => outcome.status,
  },
  "outcome.message": { summary: "What was done, or why not", of: ({ outcome }) => outcome.message },
  "outcome.code": { summary: "The code of a failure: `forbidden`", of: ({ outcome }) => outcome.code },
  "outcome.would": { summary: "How a dry run says it would have ended", of: ({ outcome }) => outcome.would },
  "outcome.text": { summary: "What the action read: a log, a command's output", of: ({ outcome }) => outcome.text },
  "outcome.objects": { summary: "The objects changed or read, by kind", of: ({ outcome }) => outcome.objects },
  "outcome.duration_ms": { summary: "Milliseconds that it took", of: ({ outcome }) => outcome.durationMs },
  "target.kind": { summary: "`pod`, `resource` or `none`", of: ({ outcome }) => outcome.target?.kind },
  "target.namespace": { summary: "The target's namespace", of: ({ outcome }) => targetOf(outcome).namespace },
  "target.name": { summary: "The target's name", of: ({ outcome }) => targetOf(outcome).name },
  "target.uid": { summary: "The target's UID", of: ({ outcome }) => targetOf(outcome).uid },
  "target.resource": { summary: "Of an audit event, `configmaps`", of: ({ outcome }) => targetOf(outcome).resource },
  "artifact.location": { summary: "Where the artifact is", of: ({ outcome }) => outcome.artifact?.location },
  "artifact.output": { summary: "The output that stored it: `aws:s3`", of: ({ outcome }) => outcome.artifact?.output },
  "artifact.bytes": { summary: "Its size", of: ({ outcome }) => outcome.artifact?.bytes },
  "artifact.sha256": { summary: "Its SHA-256, hexadecimal", of: ({ outcome }) => outcome.artifact?.sha256 },
  undo: { summary: "The command that takes it back", of: ({ outcome }) => outcome.undo },
  response: { summary: "For `hallux responses show`", of: ({ response }) => response },
  at: { summary: "When the action ended (RFC 3339)", of: ({ at }) => at },
  headline: { summary: "The default text's first line", of: (notification) => messageOf(notification).headline },
  text: { summary: "The whole default text", of: (notification) => textOf(messageOf(notification)) },
} satisfies Readonly<Record<string, Variable>>;

/** Those with names of the user's or the attacker's in them. */
const open: readonly string[] = ["event.fields", "outcome.objects"];

const maxTemplateLength = 65_536;
const maxValueBytes = 16 * 1024;
const maxOutputBytes = 512 * 1024;
const renderMs = 250;
const maxMemory = 8_000_000;

/** Read other files; templates have none. */
const fileTags = ["include", "render", "layout", "block"];

interface Form {
  readonly escape: (text: string) => string;
  /** The whole of it; throws where it is not what it is to be. */
  readonly whole: (output: string) => string;
}

const forms: Readonly<Record<Medium, Form>> = {
  line: { escape: plain, whole: (output) => plain(output).trim() },
  text: { escape: plainLines, whole: (output) => output },
  html: { escape: (text) => escapeHtml(plainLines(text)), whole: (output) => output },
  mrkdwn: { escape: (text) => escapeMrkdwn(plainLines(text)), whole: (output) => output },
  json: { escape: (text) => JSON.stringify(text).slice(1, -1), whole: asJson },
};

/** Throws where it is none. */
function asJson(output: string): string {
  JSON.parse(output);
  return output;
}

/** What is wrong with the templates among a notifier's settings. */
export function templateFaults(
  settings: Readonly<Record<string, { readonly template: string | undefined; readonly medium: Medium }>>,
): readonly SettingFault[] {
  return Object.entries(settings).flatMap(([setting, { template, medium }]) => {
    const reason = template === undefined ? undefined : faultOf(template, medium);
    return reason === undefined
      ? []
      : [{ setting, message: `"${setting}" is not a template that can be used: ${reason}` }];
  });
}

/** What came of a template; `text` is absent where there is none or it failed, `note` says why. */
export interface Rendering {
  readonly text?: string;
  readonly note?: string;
}

/** It never fails: that something happened is to be told whatever the template does. */
export function render(template: string | undefined, medium: Medium, notification: Notification): Rendering {
  if (template === undefined) {
    return {};
  }
  try {
    const engine = engineFor(medium);
    const output = String(engine.renderSync(engine.parse(template), scopeOf(notification)));
    if (output.trim() === "") {
      return { note: "the template gives nothing, this is the default text" };
    }
    const text = forms[medium].whole(output);
    return Buffer.byteLength(text) > maxOutputBytes
      ? { note: `the template gives more than ${maxOutputBytes / 1024} KiB, this is the default text` }
      : { text };
  } catch (error) {
    return { note: `the template failed, this is the default text: ${wordsOf(error)}` };
  }
}

/** `&`, `<` and quotes do nothing in HTML any more. */
export function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? "");
}

/**
 * Slack makes mentions and links of what stands between `<` and `>`; Mattermost, Rocket.Chat and Discord of an `@`, a URL and Markdown's
 * brackets alone: an invisible character takes those apart.
 */
export function escapeMrkdwn(text: string): string {
  return escapeSlack(text).replaceAll(/@(?=[\p{L}\p{N}_])|\](?=[([])|:(?=\/\/)|\bwww(?=\.)/giu, "$&\u2060");
}

/** What Slack asks for in every text. */
export function escapeSlack(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function faultOf(template: string, medium: Medium): string | undefined {
  const engine = engineFor(medium);
  try {
    return unknownVariable(engine, engine.parse(template));
  } catch (error) {
    return mistakeIn(wordsOf(error));
  }
}

/** Without what the library quotes of the template, in which a credential for the service may stand. */
function mistakeIn(words: string): string {
  const [named] = /^(tag "\w+" not found|undefined filter: \w+|parse length limit exceeded)/.exec(words) ?? [];
  const [place = ""] = /, line:\d+, col:\d+$/.exec(words) ?? [];
  const kind = words.includes(" not closed") ? "something in it is not closed" : "it cannot be parsed";
  return `${named ?? kind}${place}`;
}

function unknownVariable(engine: Liquid, parsed: Template[]): string | undefined {
  const unknown = engine
    .globalVariableSegmentsSync(parsed)
    .map((segments) => segments.map((segment) => (typeof segment === "string" ? segment : "")).join("."))
    .find((name) => !isKnown(name));
  if (unknown === undefined) {
    return undefined;
  }
  return `there is no variable "${unknown}" (${hintFor(unknown)})`;
}

/** The nearest; else those of its group, or the groups. */
function hintFor(unknown: string): string {
  const names = Object.keys(variables);
  const group = names.filter((name) => name.startsWith(`${unknown.split(".")[0]}.`));
  const groups = new Set(names.map((name) => name.split(".")[0]));
  return didYouMean(unknown, names) ?? `known: ${(group.length > 0 ? group : [...groups]).join(", ")}`;
}

/** The name of one, of a group of them (`artifact`), or of something in an open one; `.size`, `.first` of texts and lists. */
function isKnown(name: string): boolean {
  const bare = name.replace(/\.(size|first|last)$/, "");
  return (
    Object.keys(variables).some((known) => known === bare || known.startsWith(`${bare}.`)) ||
    open.some((known) => bare.startsWith(`${known}.`)) ||
    /^event\.tags\./.test(bare)
  );
}

/** One for each rendering: it keeps what a template assigns. Values come to it as data and leave it escaped. */
function engineFor(medium: Medium): Liquid {
  const form = forms[medium];
  const engine = new Liquid({
    strictFilters: true,
    ownPropertyOnly: true,
    timezoneOffset: 0,
    locale: "en-US",
    parseLimit: maxTemplateLength,
    renderLimit: renderMs,
    memoryLimit: maxMemory,
    outputEscape: (value) => form.escape(shown(value)),
  });
  for (const name of fileTags) {
    delete engine.tags[name];
  }
  engine.unregisterFilter("raw");
  engine.registerFilter("json", { raw: medium === "json", handler: (value: unknown) => JSON.stringify(value ?? null) });
  return engine;
}

function shown(value: unknown): string {
  if (value === undefined || value === null) {
    return "";
  }
  if (Array.isArray(value)) {
    return value.map(shown).join(", ");
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Nested by the dots of the names; a group in which there is nothing is absent, so that `{% if artifact %}` says it. */
function scopeOf(notification: Notification): object {
  const scope: Record<string, unknown> = {};
  for (const [name, variable] of Object.entries<Variable>(variables)) {
    const value = bounded(variable.of(notification) as JsonValue | undefined);
    const [group = "", member] = name.split(".");
    if (value !== undefined && value !== null) {
      Object.assign(scope, {
        [group]: member === undefined ? value : { ...(scope[group] as object), [member]: value },
      });
    }
  }
  return scope;
}

/** Numbers of more digits than JavaScript keeps are texts; of a long text there is the start. */
function bounded(value: JsonValue | undefined): unknown {
  if (typeof value === "string") {
    return clip(value, maxValueBytes);
  }
  if (Array.isArray(value)) {
    return value.map(bounded);
  }
  if (isJsonObject(value)) {
    const entries = Object.entries(value).map(([name, one]) => [name, bounded(one)]);
    return Object.setPrototypeOf(Object.fromEntries(entries), null);
  }
  return value !== undefined && isExactNumber(value) ? value.rawJSON : value;
}

function targetOf({ target }: Notification["outcome"]) {
  const { namespace, name, uid, resource } = {
    namespace: undefined,
    name: undefined,
    uid: undefined,
    resource: undefined,
    ...target,
  };
  return { namespace, name, uid, resource };
}

/** Without what the message quotes of the template below its first line. */
function wordsOf(error: unknown): string {
  return plain(String(error instanceof Error ? error.message : error).split("\n")[0] ?? "");
}
