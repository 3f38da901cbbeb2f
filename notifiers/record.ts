import type { Notification } from "../src/catalogue/catalogue.ts";
import type { FalcoEvent } from "../src/events/event.ts";
import { textOf } from "../src/events/json.ts";
import { describeTarget } from "../src/events/target.ts";
import { clip, plain, plainLines } from "./message.ts";

const maxNameBytes = 256;
const maxSentenceBytes = 1024;
const maxOutputBytes = 4 * 1024;
const maxResultBytes = 16 * 1024;
const maxValueBytes = 512;
const maxFields = 64;
const maxTags = 32;
const maxObjects = 16;

/**
 * What logs and search keep of an outcome: as JSON below 192 KiB whatever the event. Names and types are those of Talon's own documents
 * where it has them, so that an index that Talon began takes these too.
 */
export interface OutcomeRecord {
  readonly time: string;
  readonly status: string;
  readonly code: string | undefined;
  /** How a dry run says that it would have ended. */
  readonly would: string | undefined;
  readonly rule: string;
  readonly action: string;
  readonly actionner: string;
  readonly message: string;
  /** `pod shop/cart-1` */
  readonly target: string | undefined;
  readonly objects: Readonly<Record<string, string>>;
  /** Falco's sentence. */
  readonly event: string | undefined;
  /** What the action read. */
  readonly result: string | undefined;
  readonly artifact: Notification["outcome"]["artifact"];
  readonly undo: string | undefined;
  readonly duration_ms: number;
  readonly response: string;
  readonly falco: FalcoRecord;
}

interface FalcoRecord {
  readonly rule: string;
  readonly priority: string;
  readonly source: string;
  readonly hostname: string | undefined;
  readonly time: string;
  readonly uuid: string | undefined;
  readonly tags: readonly string[];
}

export function recordOf({ event, rule, action, outcome, response, at }: Notification): OutcomeRecord {
  const { status, code, would, target, artifact, durationMs } = outcome;
  return {
    time: at,
    status,
    code,
    would,
    rule: name(rule.name),
    action: name(action.name),
    actionner: action.actionner,
    message: sentence(outcome.message),
    target: target === undefined || target.kind === "none" ? undefined : sentence(describeTarget(target)),
    objects: objectsOf(outcome.objects),
    event: lines(event.output, maxOutputBytes),
    result: lines(outcome.text, maxResultBytes),
    artifact: artifact && { ...artifact, location: sentence(artifact.location) },
    undo: outcome.undo === undefined ? undefined : sentence(outcome.undo),
    duration_ms: durationMs,
    response,
    falco: falcoOf(event),
  };
}

/** The event's output fields: the first ones, and the start of each value. */
export function fieldsOf({ fields }: FalcoEvent): readonly (readonly [name: string, value: string])[] {
  return Object.entries(fields)
    .slice(0, maxFields)
    .map(([field, value]) => [name(field), clip(plainLines(textOf(value)), maxValueBytes)] as const);
}

function falcoOf({ rule, priority, source, hostname, time, uuid, tags }: FalcoEvent): FalcoRecord {
  return {
    rule: name(rule),
    priority,
    source: name(source),
    hostname: hostname === undefined ? undefined : name(hostname),
    // Nobody reads more than nanoseconds.
    time: time.replace(/(\.\d{9})\d+/, "$1"),
    uuid: uuid === undefined ? undefined : name(uuid),
    tags: tags.slice(0, maxTags).map(name),
  };
}

/** Search engines make paths of dots in names. */
function objectsOf(objects: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = Object.entries(objects).slice(0, maxObjects);
  return Object.fromEntries(
    entries.map(([kind, value]) => [name(kind).replaceAll(/[^A-Za-z0-9_-]+/g, "_"), name(value)]),
  );
}

function name(text: string): string {
  return clip(plain(text), maxNameBytes);
}

function sentence(text: string): string {
  return clip(plainLines(text), maxSentenceBytes);
}

function lines(text: string | undefined, maxBytes: number): string | undefined {
  return text === undefined ? undefined : clip(plainLines(text), maxBytes);
}
