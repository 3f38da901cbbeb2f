import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import pino from "pino";
import { onTestFinished } from "vitest";
import { eventOf } from "./events.ts";
import type { Outcome } from "../../src/catalogue/outcome.ts";
import { describeTarget, type Target } from "../../src/events/target.ts";
import type { Ledger, ResponseDetail, ResponseQuery, Transition } from "../../src/ledger/ledger.ts";
import { Secret } from "../../src/schema/secret.ts";
import { type ApiPeers, createApi } from "../../src/api/api.ts";
import { noMetrics } from "./metrics.ts";

export const token = "a-token-of-the-tests";

interface ResponseTraits {
  readonly id: string;
  readonly rule?: string;
  readonly target?: Target;
  readonly at?: string;
  readonly event?: ResponseDetail["event"];
  readonly repeats?: ResponseDetail["repeats"];
  readonly actions?: readonly { readonly name: string; readonly actionner: string }[];
  /** After `planned`; without `response`, which is the id. */
  readonly steps?: readonly Step[];
}

type Step = { [T in Transition as T["type"]]: Omit<T, "response"> }[Exclude<Transition["type"], "planned">];

/** A response as a ledger holds it: planned, and whatever its steps say. */
export function aResponse({
  id,
  rule = "Shell in a shop pod",
  at = minute(0),
  ...traits
}: ResponseTraits): ResponseDetail {
  const {
    target = { kind: "pod", namespace: "shop", name: "cart-1", uid: "5e4c1a1b" },
    actions = [{ name: "Label", actionner: "kubernetes:label" }],
    event = eventOf({ pod: "shop/cart-1" }),
    repeats = [],
    steps = [ended(0, { status: "success", message: "pod labelled" }), { type: "closed", at: minute(1) }],
  } = traits;
  const planned: Transition = { type: "planned", at, response: id, event: event.id, rule, target, actions };
  const transitions = [planned, ...steps.map((step) => ({ ...step, response: id }) as Transition)];
  return { response: id, transitions, event, repeats };
}

export function ended(
  action: number,
  outcome: Pick<Outcome, "status" | "message"> & Partial<Outcome>,
): Extract<Step, { type: "ended" }> {
  const nothing = { code: undefined, would: undefined, target: undefined, text: undefined, artifact: undefined };
  return {
    type: "ended",
    at: minute(1),
    action,
    outcome: { ...nothing, objects: {}, undo: undefined, durationMs: 11, ...outcome },
  };
}

/** Minutes after ten o'clock. */
export function minute(minutes: number): string {
  return new Date(Date.UTC(2026, 2, 1, 10, minutes)).toISOString();
}

export type History = Pick<Ledger, "responses" | "response">;

/** Holds these, the newest first. */
export function historyOf(details: readonly ResponseDetail[]): History {
  return {
    async responses({ limit, after = "0", ...filters }) {
      const start = Number(after);
      const found = details.filter((detail) => holds(detail, filters));
      const end = start + limit;
      return { responses: found.slice(start, end), next: end < found.length ? String(end) : undefined };
    },
    response: async (id) => details.find(({ response }) => response === id),
  };
}

function holds({ transitions }: ResponseDetail, { since, rule, target, status }: Partial<ResponseQuery>): boolean {
  const [planned] = transitions;
  return (
    planned?.type === "planned" &&
    planned.at >= (since ?? "") &&
    planned.rule === (rule ?? planned.rule) &&
    describeTarget(planned.target) === (target ?? describeTarget(planned.target)) &&
    (status === undefined || transitions.some((step) => step.type === "ended" && step.outcome.status === status))
  );
}

export interface StartedApi {
  readonly url: string;
  readonly port: number;
  readonly lines: readonly Record<string, unknown>[];
  /** As JSON, with the right token. */
  get(path: string): Promise<{ readonly status: number; readonly headers: Headers; readonly body: unknown }>;
}

/** The API on a free port of this machine, closed when the test ends. */
export async function startApi(
  ledger: History,
  peers: Partial<ApiPeers> = {},
  tls?: ServerOptions,
): Promise<StartedApi> {
  const lines: Record<string, unknown>[] = [];
  const api = createApi({
    ledger,
    token: new Secret(token),
    metrics: noMetrics,
    logger: pino({ base: undefined }, { write: (line) => void lines.push(JSON.parse(line)) }),
    clock: () => new Date(minute(60)),
    ...peers,
  });
  const server = (tls === undefined ? createServer(api) : createTlsServer(tls, api)).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const url = `http${tls === undefined ? "" : "s"}://127.0.0.1:${port}`;

  return {
    url,
    port,
    lines,
    async get(path) {
      const response = await fetch(url + path, { headers: { authorization: `Bearer ${token}` } });
      return { status: response.status, headers: response.headers, body: await response.json() };
    },
  };
}
