import { hash } from "node:crypto";
import type { Notification } from "../src/catalogue/catalogue.ts";
import type { OutcomeStatus } from "../src/catalogue/outcome.ts";
import { describeTarget } from "../src/events/target.ts";

/**
 * What a person is told of an outcome, for each medium to set in its own way. Every text is bounded, well-formed, and without what a
 * terminal obeys or that turns text around; markup in it is the medium's to escape.
 */
export interface Message {
  readonly status: OutcomeStatus;
  /** `Failed: kubernetes:terminate on pod shop/cart-1` */
  readonly headline: string;
  /** What was done, or why not, in one sentence. */
  readonly summary: string;
  /** In the order in which they are read: what happened, where, what was done, what came of it. */
  readonly facts: readonly Fact[];
  /** A command. */
  readonly undo: string | undefined;
  /** What went wrong with the telling itself. */
  readonly note: string | undefined;
  /** All of it on one line, for places that have no more; at most 1 KiB. */
  readonly line: string;
}

export interface Fact {
  readonly name: string;
  readonly value: string;
  /** Its value may have several lines. */
  readonly long?: true;
}

const maxLineBytes = 400;
const maxBlockBytes = 2500;
const maxOneLineBytes = 1024;

const words: Readonly<Record<OutcomeStatus, string>> = {
  success: "Done",
  ignored: "Ignored",
  failure: "Failed",
  refused: "Refused",
  dry_run: "Dry run",
  expired: "Expired",
};

export function messageOf(notification: Notification, note?: string): Message {
  const { action, outcome } = notification;
  const where = targetText(notification);
  const headline = `${words[outcome.status]}: ${action.actionner}${where === undefined ? "" : ` on ${where}`}`;
  return {
    status: outcome.status,
    headline: oneLine(headline),
    summary: oneLine(outcome.message),
    facts: factsOf(notification),
    undo: outcome.undo === undefined ? undefined : oneLine(outcome.undo),
    note: note === undefined ? undefined : oneLine(note),
    line: lineOf(notification),
  };
}

/** The same for the same notification sent again, and no other's. Hexadecimal, 32 digits. */
export function idOf({ response, action, at }: Notification): string {
  return hash("sha256", JSON.stringify([response, action, at])).slice(0, 32);
}

/** As plain text of many lines. */
export function textOf({ headline, summary, facts, undo, note }: Message): string {
  const width = Math.max(...facts.map(({ name }) => name.length));
  const lines = facts.map(({ name, value, long }) =>
    long ? `${name}:\n${indented(value)}` : `${`${name}:`.padEnd(width + 1)} ${value}`,
  );
  const ends = [
    undo === undefined ? [] : [`To undo it:\n${indented(undo)}`],
    note === undefined ? [] : [`Note: ${note}`],
  ];
  return `${[headline, summary, lines.join("\n"), ...ends.flat()].join("\n\n")}\n`;
}

/** On one line and without what a terminal obeys or that turns text around. */
export function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ").toWellFormed();
}

/** Likewise, line breaks kept. */
export function plainLines(text: string): string {
  return text
    .split(/\r\n|[\n\r\u2028\u2029]/)
    .map(plain)
    .join("\n");
}

/** Cut between characters where it is longer, with an ellipsis at its end. */
export function clip(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  const ellipsis = "…";
  return bytes.length <= maxBytes
    ? text
    : new TextDecoder().decode(bytes.subarray(0, maxBytes - Buffer.byteLength(ellipsis)), { stream: true }) + ellipsis;
}

function oneLine(text: string): string {
  return clip(plain(text).trim(), maxLineBytes);
}

function factsOf({ event, rule, action, outcome, response, at }: Notification): readonly Fact[] {
  const { artifact, target } = outcome;
  const uid = target?.kind === "pod" && target.uid !== undefined ? ` (${target.uid})` : "";
  const changed = Object.entries(outcome.objects).map(([kind, name]) => `${kind} ${name}`);
  return [
    line("Falco rule", `${event.rule} (${event.priority})`),
    line("Detected", event.hostname === undefined ? event.time : `${event.time} on ${event.hostname}`),
    block("Falco says", event.output),
    line("Target", target === undefined || target.kind === "none" ? undefined : `${describeTarget(target)}${uid}`),
    line("Rule", rule.name),
    line("Action", `${action.name} (${action.actionner})`),
    line("Outcome", outcome.code === undefined ? endingOf(outcome) : `${endingOf(outcome)} (${outcome.code})`),
    line("Objects", changed.length === 0 ? undefined : changed.join(", ")),
    block("Result", outcome.text),
    line("Artifact", artifact?.location),
    line("Bytes", artifact && String(artifact.bytes)),
    line("SHA-256", artifact?.sha256),
    line("Ended", at),
    line("Response", response),
  ].flat();
}

function line(name: string, value: string | undefined): readonly Fact[] {
  const text = oneLine(value ?? "");
  return text === "" ? [] : [{ name, value: text }];
}

function block(name: string, value: string | undefined): readonly Fact[] {
  const text = clip(plainLines(value ?? "").trim(), maxBlockBytes);
  return text === "" ? [] : [{ name, value: text, long: true }];
}

function lineOf({ event, rule, action, outcome }: Notification): string {
  const parts = [
    `rule "${rule.name}", action "${action.name}" (${action.actionner})`,
    `${endingOf(outcome)}: ${outcome.message}`,
    outcome.undo === undefined ? "" : `undo: ${outcome.undo}`,
    outcome.artifact === undefined ? "" : `stored: ${outcome.artifact.location}`,
    `because of: ${event.rule}`,
  ];
  return clip(
    parts
      .filter((part) => part !== "")
      .map(oneLine)
      .join("; "),
    maxOneLineBytes,
  );
}

function endingOf({ status, would }: Notification["outcome"]): string {
  return status === "dry_run" ? `dry run, would be ${would}` : status;
}

/** The action's target; where it has none, nothing: what the event is about stands in the facts. */
function targetText({ outcome: { target } }: Notification): string | undefined {
  return target === undefined || target.kind === "none" ? undefined : describeTarget(target);
}

function indented(text: string): string {
  return text
    .split("\n")
    .map((one) => `  ${one}`.trimEnd())
    .join("\n");
}
