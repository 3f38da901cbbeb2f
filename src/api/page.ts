import type { Ledger, ResponseQuery } from "../ledger/ledger.ts";
import type { Cursors } from "./cursors.ts";
import { summaryOf } from "./shapes.ts";

/** What the ledger is asked for at a time: others get their turn in between. */
const portion = 25;

export interface PageOptions {
  readonly cursors: Pick<Cursors, "seal">;
  readonly maxBytes: number;
  /** Whether the page is to end with what it has. */
  readonly isEnough: () => boolean;
}

/** A page as JSON: `responses`, newest first, and `next`, where there are more. It may hold less than was asked for. */
export async function pageOf(
  query: ResponseQuery,
  ledger: Pick<Ledger, "responses">,
  { cursors, maxBytes, isEnough }: PageOptions,
): Promise<string> {
  const items: string[] = [];
  let bytes = 0;
  let next = query.after;
  do {
    const limit = Math.min(portion, query.limit - items.length);
    const page = await ledger.responses({ ...query, limit, after: next });
    const texts = page.responses.map((record) => JSON.stringify(summaryOf(record)));
    items.push(...texts);
    bytes += texts.reduce((sum, text) => sum + text.length, 0);
    next = page.next;
  } while (next !== undefined && items.length < query.limit && bytes < maxBytes && !isEnough());

  const more = next === undefined ? "" : `,"next":${JSON.stringify(cursors.seal(next))}`;
  return `{"responses":[${items.join(",")}]${more}}`;
}
