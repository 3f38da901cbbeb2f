import { setTimeout as pause } from "node:timers/promises";
import type { ResponseReport, ResponseSummary } from "../../src/api/shapes.ts";
import { apiToken } from "./world.ts";

/** As many as the read API serves at the same time. */
const readers = 4;

/** Without labels; 0 where nothing was counted yet, undefined where nobody answers. */
export async function metricOf(url: string, name: string): Promise<number | undefined> {
  const ask = () => fetch(`${url}/metrics`).then((answer) => answer.text());
  // A kept connection may end just when it is used again: that is no process that has ended.
  const page = await ask()
    .catch(ask)
    .catch(() => undefined);
  if (page !== undefined && !page.includes(`# HELP ${name} `)) {
    throw new Error(`/metrics does not tell ${name}`);
  }
  const [, value = "0"] = new RegExp(`^${name} (\\d+)$`, "m").exec(page ?? "") ?? [];
  return page === undefined ? undefined : Number(value);
}

/** Resolves when every accepted event is finished, or nobody answers any more. */
export async function drained(url: string, seconds: number): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  const left = () => metricOf(url, "hallux_ledger_backlog_events");
  for (let events = await left(); events !== undefined && events > 0; events = await left()) {
    if (Date.now() > deadline) {
      throw new Error(`${events} events are still not finished after ${seconds} s`);
    }
    await pause(25);
  }
}

/** Every response on record, whole. */
export async function historyOf(url: string): Promise<readonly ResponseReport[]> {
  const ids: string[] = [];
  let after = "";
  do {
    const page = await read<Page>(`${url}/api/v1/responses?limit=200${after}`);
    ids.push(...page.responses.map(({ id }) => id));
    after = page.next === undefined ? "" : `&after=${encodeURIComponent(page.next)}`;
  } while (after !== "");

  const queue = ids.values();
  const reader = async () => {
    const reports: ResponseReport[] = [];
    for (const id of queue) {
      reports.push(await read<ResponseReport>(`${url}/api/v1/responses/${id}`));
    }
    return reports;
  };
  return (await Promise.all(Array.from({ length: readers }, reader))).flat();
}

interface Page {
  readonly responses: readonly ResponseSummary[];
  readonly next?: string;
}

async function read<T>(url: string): Promise<T> {
  const answer = await fetch(url, { headers: { authorization: `Bearer ${apiToken}` } });
  const text = await answer.text();
  if (!answer.ok) {
    throw new Error(`${url} was answered ${answer.status}: ${text}`);
  }
  return JSON.parse(text);
}
