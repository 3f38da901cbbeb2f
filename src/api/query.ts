import { outcomeStatuses } from "../catalogue/outcome.ts";
import { isTime } from "../events/decode.ts";
import type { ResponseQuery } from "../ledger/ledger.ts";
import { didYouMean } from "../schema/problem.ts";
import type { Cursors } from "./cursors.ts";
import { ApiRefusal } from "./refusal.ts";

export const responseStatuses = [...outcomeStatuses, "open"] as const;
export const largestPage = 200;
const defaultPage = 50;

export interface QueryContext {
  readonly now: Date;
  readonly cursors: Pick<Cursors, "open">;
}

type Reader<T> = (text: string, context: QueryContext) => NonNullable<T>;
type Readers = { readonly [K in keyof ResponseQuery]-?: Reader<ResponseQuery[K]> };

const readers: Readers = {
  since: sinceOf,
  rule: (text) => text,
  target: (text) => text,
  status: statusOf,
  limit: limitOf,
  after: afterOf,
};
const names = Object.keys(readers);

/** What is asked for. Throws an `ApiRefusal` that says which parameter is wrong, and what it may be. */
export function queryIn(parameters: URLSearchParams, context: QueryContext): ResponseQuery {
  const given = new Map<string, unknown>();
  for (const [name, text] of parameters) {
    const reader = Object.hasOwn(readers, name) ? readers[name as keyof Readers] : undefined;
    if (reader === undefined) {
      throw unknownParameter(name);
    }
    if (given.has(name)) {
      throw invalid(name, "one value", "it is given more than once");
    }
    if (text === "") {
      throw invalid(name, "a value", "it is empty");
    }
    given.set(name, reader(text, context));
  }
  return { limit: defaultPage, ...Object.fromEntries(given) };
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

function sinceOf(text: string, { now }: QueryContext): string {
  const [, count, unit = ""] = /^(\d{1,9})([smhdw])$/.exec(text) ?? [];
  if (count !== undefined) {
    return new Date(Math.max(0, now.getTime() - Number(count) * (unitMs[unit] ?? 0))).toISOString();
  }
  if (isTime(text)) {
    return new Date(text).toISOString();
  }
  const expected = "a duration (15m, 24h, 7d) or an RFC 3339 time (2026-03-01T10:00:00Z; in a URL, + is %2B)";
  throw invalid("since", expected, `got ${shown(text)}`);
}

function statusOf(text: string): NonNullable<ResponseQuery["status"]> {
  const status = responseStatuses.find((known) => known === text);
  if (status === undefined) {
    throw invalid("status", `one of ${responseStatuses.join(", ")}`, `got ${shown(text)}`);
  }
  return status;
}

function limitOf(text: string): number {
  const limit = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > largestPage) {
    throw invalid("limit", `a number from 1 to ${largestPage}`, `got ${shown(text)}`);
  }
  return limit;
}

function afterOf(text: string, { cursors }: QueryContext): string {
  const cursor = cursors.open(text);
  if (cursor === undefined) {
    throw invalid("after", "the `next` of a page that this token was given", `got ${shown(text)}`);
  }
  return cursor;
}

function unknownParameter(name: string): ApiRefusal {
  const hint = didYouMean(name, names);
  return new ApiRefusal(
    "invalid_parameter",
    `unknown parameter ${shown(name)}${hint === undefined ? "" : ` (${hint})`}`,
    {
      expected: names.join(", "),
    },
  );
}

function invalid(field: string, expected: string, fault: string): ApiRefusal {
  return new ApiRefusal("invalid_parameter", `"${field}" must be ${expected}: ${fault}`, { field, expected });
}

function shown(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}
