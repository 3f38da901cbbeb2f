import { type FalcoEvent, fieldOf, ownSource } from "../events/event.ts";
import { type JsonValue, textOf } from "../events/json.ts";
import { priorities, type Priority, priorityNamed, severityOf } from "../events/priority.ts";
import { didYouMean } from "../schema/problem.ts";
import type { Condition } from "./rule.ts";
import type { Fault } from "./tree.ts";

/** What a text says, or what is wrong with it. */
export type Parsed<T> = { readonly value: T } | { readonly fault: Fault };

/** The event was raised by one of these Falco rules. Blanks around a name do not matter. */
export function ruleIsOneOf(names: readonly string[]): Condition {
  const known = new Set(names.map((name) => name.trim()));
  return ({ rule }) => (known.has(rule.trim()) ? undefined : `Falco's rule is ${quote(rule)}, not ${oneOf(names)}`);
}

/** Names the first few. */
function oneOf(names: readonly string[]): string {
  const others = names.length - maxNamed;
  const named = others > 1 ? [...names.slice(0, maxNamed).map(quote), `one of ${others} others`] : names.map(quote);
  return named.join(" or ");
}

const comparisons = {
  "=": (left: number, right: number) => left === right,
  "<": (left: number, right: number) => left < right,
  "<=": (left: number, right: number) => left <= right,
  ">": (left: number, right: number) => left > right,
  ">=": (left: number, right: number) => left >= right,
} as const;

/** `>= Critical`; without an operator, exactly that priority. */
export function parsePriority(text: string): Parsed<Condition> {
  const [, operator = "=", name = ""] = /^\s*(<=|>=|<|>|=)?\s*(.*?)\s*$/s.exec(text) ?? [];
  const wanted = priorityNamed(name);
  if (wanted === undefined) {
    const hint =
      didYouMean(name, [...priorities, "Info"]) ?? `one of ${priorities.join(", ")}, after one of = < <= > >=`;
    return { fault: { message: `unknown priority "${text}"`, hint } };
  }
  return { value: priorityIs(operator as keyof typeof comparisons, wanted) };
}

function priorityIs(operator: keyof typeof comparisons, wanted: Priority): Condition {
  const holds = comparisons[operator];
  const expected = operator === "=" ? wanted : `${operator}${wanted}`;
  return ({ priority }) =>
    holds(severityOf(priority), severityOf(wanted)) ? undefined : `priority is ${priority}, not ${expected}`;
}

/** Falcosidekick's `syscalls` is Falco's `syscall`. */
export function sourceIs(written: string): Condition {
  const wanted = written.trim() === "syscalls" ? "syscall" : written.trim();
  return ({ source }) => (source === wanted ? undefined : `source is ${quote(source)}, not "${wanted}"`);
}

/** Of a rule that names no source: what tells of a response must not be responded to again without end. */
export const isNotOwn: Condition = ({ source }) =>
  source === ownSource
    ? `source is "${ownSource}": it tells of a response, and the rule does not ask for that`
    : undefined;

/** Every tag of at least one group must be on the event. */
export function tagsInclude(groups: readonly (readonly string[])[]): Condition {
  return ({ tags }) =>
    groups.some((group) => group.every((tag) => tags.includes(tag)))
      ? undefined
      : `tags [${tags.map(quote).join(", ")}] cover none of [${groups.map((group) => group.join("+")).join(", ")}]`;
}

export interface FieldTest {
  readonly field: string;
  readonly operator: "=" | "!=";
  readonly value: string;
}

/** Every test of at least one group must hold. */
export function fieldsAre(groups: readonly (readonly FieldTest[])[]): Condition {
  return (event) => {
    const reasons: string[] = [];
    for (const group of groups) {
      const failed = group.find((test) => !holds(test, event));
      if (failed === undefined) {
        return undefined;
      }
      reasons.push(
        `${failed.field}${failed.operator}${failed.value} fails: ${failed.field} is ${seen(event, failed.field)}`,
      );
    }
    return reasons.join("; ");
  };
}

/** The fields that `=` holds to a value where this group holds. */
export function pinnedBy(group: readonly FieldTest[]): ReadonlyMap<string, string> {
  return new Map(group.flatMap(({ field, operator, value }) => (operator === "=" ? [[field, value] as const] : [])));
}

/** An unknown field meets no condition, `!=` neither: matching fails closed. */
function holds({ field, operator, value }: FieldTest, event: FalcoEvent): boolean {
  if (operator === "=") {
    const sent = event.fields[field];
    return sent !== undefined && sent !== null && textOf(sent) === value;
  }
  const known = fieldOf(event, field);
  return known !== undefined && textOf(known) !== value;
}

function seen(event: FalcoEvent, field: string): string {
  const value: JsonValue | undefined = event.fields[field];
  return value === undefined ? "absent" : quote(textOf(value));
}

/**
 * `field=value` or `field!=value`. The first operator divides, so that the value may hold `=`; blanks around each part do not
 * matter, nor does a pair of double quotes around the whole value. `<NA>` can be asked for by name.
 */
function parseFieldTest(text: string): Parsed<FieldTest> {
  const [, field = "", operator = "", written = ""] = /^([^=]*?)\s*(!=|=)\s*(.*)$/s.exec(text) ?? [];
  const value = /^"(.*)"$/s.exec(written)?.[1] ?? written;
  if (operator === "") {
    const message = text === "" ? "a condition is empty" : `"${text}" is no condition`;
    return { fault: { message, hint: "write field=value or field!=value" } };
  }
  if (!/^[^\s<>!]+$/.test(field)) {
    return { fault: { message: `"${field}" in "${text}" is not the name of a field` } };
  }
  return value === ""
    ? { fault: { message: `"${text}" has no value after the operator` } }
    : { value: { field, operator: operator as FieldTest["operator"], value } };
}

/** The tags of one item: all of them must be on the event. */
export function parseTags(text: string): Parsed<readonly string[]> {
  const tags = splitAtCommas(text);
  return tags.includes("") ? { fault: { message: `"${text}" has an empty tag` } } : { value: tags };
}

/** The conditions of one item: all of them must hold. */
export function parseFieldTests(text: string): Parsed<readonly FieldTest[]> {
  const tests: FieldTest[] = [];
  for (const part of splitAtCommas(text)) {
    const parsed = parseFieldTest(part);
    if ("fault" in parsed) {
      return parsed;
    }
    tests.push(parsed.value);
  }
  return { value: tests };
}

/**
 * The comma-separated parts, without blanks around them. `\,` is a comma inside a part; before a comma a backslash is
 * written twice, elsewhere it stands for itself.
 */
export function splitAtCommas(text: string): readonly string[] {
  const parts: string[] = [];
  let part = "";
  let end = 0;
  for (const { 0: match, 1: slashes = "", index } of text.matchAll(/(?<!\\)(\\*),/g)) {
    part += text.slice(end, index) + slashes.slice(0, slashes.length / 2);
    end = index + match.length;
    if (slashes.length % 2 === 1) {
      part += ",";
    } else {
      parts.push(part);
      part = "";
    }
  }
  return [...parts, part + text.slice(end)].map((one) => one.trim());
}

const maxQuoted = 120;
const maxNamed = 2;

/** The event's texts are an attacker's: nothing in them may move a terminal's cursor or hide a line. */
function quote(text: string): string {
  const start = text.length > maxQuoted ? `${text.slice(0, maxQuoted)}…` : text;
  return JSON.stringify(start).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16)}}`;
}
