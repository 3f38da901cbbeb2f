import type { FalcoEvent, OutputFields } from "./event.ts";
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from "./json.ts";
import { type Priority, priorities, priorityNamed } from "./priority.ts";

/** Why a text is not an event. */
export type FaultReason = "not_json" | "not_an_object" | "invalid_rule" | "invalid_priority" | "invalid_field";

export interface Fault {
  readonly reason: FaultReason;
  /** The key at fault, as Falco spells it: `tags[2]`. Undefined where the text as a whole is meant. */
  readonly field: string | undefined;
  readonly expected: string;
  /** For the sender: may quote a little of what was sent. */
  readonly message: string;
}

export type Decoding =
  | { readonly event: FalcoEvent; readonly timeReplaced: boolean; readonly fault: undefined }
  | { readonly event: undefined; readonly timeReplaced: undefined; readonly fault: Fault };

/** Ours, for one receipt: a new id, and this machine's time (RFC 3339). */
export interface Receipt {
  readonly id: string;
  readonly receivedAt: string;
}

/** Falco sends lists and objects two deep; what comes after it (the ledger, payloads) recurses. */
const maxDepth = 32;
/** An event has some dozens. Each costs the parser up to a microsecond: a megabyte of `{}` would hold up all the others. */
const maxValues = 10_000;

const anEvent = "one event as a JSON object";
const noFields: OutputFields = Object.freeze(Object.create(null));
const noTags: readonly string[] = Object.freeze([]);

/**
 * The event in a text as Falco or Falcosidekick send it. Never throws. An event is kept wherever it says what happened:
 * an unusable time becomes the time of receipt, a lone surrogate becomes U+FFFD (as invalid UTF-8 does before).
 */
export function decodeEvent(text: string, receipt: Receipt): Decoding {
  try {
    return eventIn(objectIn(text), text, receipt);
  } catch (error) {
    if (error instanceof Unreadable) {
      return { event: undefined, timeReplaced: undefined, fault: error.fault };
    }
    throw error;
  }
}

class Unreadable extends Error {
  readonly fault: Fault;

  constructor(fault: Fault) {
    super(fault.message);
    this.fault = fault;
  }
}

function eventIn(sent: JsonObject, text: string, { id, receivedAt }: Receipt): Decoding {
  const time = timeIn(sent);
  const event: FalcoEvent = Object.freeze({
    id,
    uuid: textIn(sent, "uuid"),
    rule: ruleIn(sent),
    priority: priorityIn(sent),
    source: sourceIn(sent),
    hostname: textIn(sent, "hostname"),
    output: textIn(sent, "output"),
    tags: tagsIn(sent),
    fields: fieldsIn(sent),
    time: time ?? receivedAt,
    receivedAt,
    sent,
    text,
  });
  return { event, timeReplaced: time === undefined, fault: undefined };
}

function objectIn(text: string): JsonObject {
  const value = valueIn(text);
  if (!isJsonObject(value)) {
    const message = `expected ${anEvent}, got ${shown(value)}`;
    throw new Unreadable({ reason: "not_an_object", field: undefined, expected: anEvent, message });
  }
  if (isDeeperThan(maxDepth, value)) {
    throw tooDeep();
  }
  return value;
}

function valueIn(text: string): JsonValue {
  if (text.length > maxValues && hasMoreValuesThan(maxValues, text)) {
    throw tooManyValues();
  }
  try {
    return parseJson(wellFormed(text));
  } catch (error) {
    throw error instanceof SyntaxError ? notJson(text, error) : tooDeep();
  }
}

function notJson(text: string, { message }: SyntaxError): Unreadable {
  return new Unreadable({
    reason: "not_json",
    field: undefined,
    expected: anEvent,
    message: text === "" ? "not JSON: it is empty" : `not JSON: ${message}; the text ends at position ${text.length}`,
  });
}

/** The parser's own recursion ends in a RangeError, at some thousands of levels. */
function tooDeep(): Unreadable {
  const expected = `JSON nested at most ${maxDepth} levels deep`;
  return new Unreadable({ reason: "not_json", field: undefined, expected, message: "the JSON is nested too deeply" });
}

function tooManyValues(): Unreadable {
  const expected = `JSON of at most ${maxValues} values`;
  return new Unreadable({ reason: "not_json", field: undefined, expected, message: "the JSON holds too many values" });
}

/** By what opens and what parts them, outside of texts. */
function hasMoreValuesThan(limit: number, json: string): boolean {
  let values = 0;
  let inText = false;
  for (let at = 0; at < json.length && values <= limit; at++) {
    switch (json[at]) {
      case "\\":
        at += 1;
        break;
      case '"':
        inText = !inText;
        break;
      case "{":
      case "[":
      case ",":
        values += inText ? 0 : 1;
    }
  }
  return values > limit;
}

function isDeeperThan(levels: number, value: JsonValue | undefined): boolean {
  if (typeof value !== "object" || value === null) {
    return false;
  }
  if (levels === 0) {
    return true;
  }
  const children = value as JsonObject;
  for (const key in children) {
    if (isDeeperThan(levels - 1, children[key])) {
      return true;
    }
  }
  return false;
}

/** An escape sequence of JSON; the group holds a surrogate without its other half. */
const escapes = /\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|(u[dD][89a-fA-F][\da-fA-F]{2})|.)/g;

/** Without byte order mark and lone surrogates. */
function wellFormed(text: string): string {
  const bare = text.startsWith("\uFEFF") ? text.slice(1) : text;
  return /\\u[dD][89a-fA-F]/.test(bare)
    ? bare.replace(escapes, (sequence, lone) => (lone === undefined ? sequence : "\\ufffd"))
    : bare;
}

/** As Go reads keys, and so Falcosidekick and Talon: the exact spelling, else any case; the last one counts. */
function entryOf(sent: JsonObject, name: string): JsonValue | undefined {
  if (name in sent) {
    return sent[name];
  }
  const key = Object.keys(sent).findLast((candidate) => candidate.toLowerCase() === name);
  return key === undefined ? undefined : sent[key];
}

/** Undefined where the key is absent, null or empty. */
function textIn(sent: JsonObject, name: string): string | undefined {
  const value = entryOf(sent, name) ?? "";
  if (typeof value !== "string") {
    throw wrongType(name, "a text", value);
  }
  return value === "" ? undefined : value;
}

function ruleIn(sent: JsonObject): string {
  const value = entryOf(sent, "rule");
  if (typeof value !== "string" || value.trim() === "") {
    throw wrong("invalid_rule", "rule", "the name of a Falco rule, a text that is not empty", value);
  }
  return value;
}

function priorityIn(sent: JsonObject): Priority {
  const value = entryOf(sent, "priority");
  const priority = typeof value === "string" ? priorityNamed(value) : undefined;
  if (priority === undefined) {
    throw wrong("invalid_priority", "priority", `one of ${priorities.join(", ")}`, value);
  }
  return priority;
}

/** Falco says `syscall`; Falcosidekick makes `syscalls` of an empty source. */
function sourceIn(sent: JsonObject): string {
  const source = textIn(sent, "source") ?? "syscall";
  return source === "syscalls" ? "syscall" : source;
}

function tagsIn(sent: JsonObject): readonly string[] {
  const tags = entryOf(sent, "tags") ?? noTags;
  if (!Array.isArray(tags)) {
    throw wrongType("tags", "a list of texts", tags);
  }
  const stranger = tags.findIndex((tag) => typeof tag !== "string");
  if (stranger >= 0) {
    throw wrongType(`tags[${stranger}]`, "a text", tags[stranger]);
  }
  return tags;
}

function fieldsIn(sent: JsonObject): OutputFields {
  const fields = entryOf(sent, "output_fields") ?? noFields;
  if (!isJsonObject(fields)) {
    throw wrongType("output_fields", "an object", fields);
  }
  return fields;
}

const rfc3339 = /^(\d{4}-\d{2}-\d{2})T(?:[01]\d|2[0-3]):\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/;

/** Whether it is a time as RFC 3339 writes it: `2021-02-30` and month 13 are not. */
export function isTime(text: string): boolean {
  const [, date] = rfc3339.exec(text) ?? [];
  return date !== undefined && !Number.isNaN(Date.parse(text)) && isOnCalendar(date);
}

/** The time as it was sent, where it is one. */
function timeIn(sent: JsonObject): string | undefined {
  const value = entryOf(sent, "time");
  return typeof value === "string" && isTime(value) ? value : undefined;
}

/** JavaScript takes 30 February for 2 March. */
function isOnCalendar(date: string): boolean {
  const day = Number(date.slice(-2));
  return day <= 28 || new Date(date).getUTCDate() === day;
}

function wrongType(field: string, expected: string, value: JsonValue | undefined): Unreadable {
  return wrong("invalid_field", field, expected, value);
}

function wrong(reason: FaultReason, field: string, expected: string, value: JsonValue | undefined): Unreadable {
  return new Unreadable({ reason, field, expected, message: `"${field}" must be ${expected}; got ${shown(value)}` });
}

function shown(value: JsonValue | undefined): string {
  if (value === undefined) {
    return "nothing";
  }
  if (Array.isArray(value)) {
    return "a list";
  }
  return isJsonObject(value) ? "an object" : shortened(JSON.stringify(value));
}

function shortened(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
