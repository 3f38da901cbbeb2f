import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "pino";
import { type Ledger, LedgerUnavailable, type ResponseQuery } from "../ledger/ledger.ts";
import type { Secret } from "../schema/secret.ts";
import type { ApiStatus, Metrics } from "../telemetry/metrics.ts";
import { createCursors } from "./cursors.ts";
import { createGate } from "./gate.ts";
import { pageOf } from "./page.ts";
import { type QueryContext, queryIn } from "./query.ts";
import { createReading } from "./reading.ts";
import { ApiRefusal, createRefusalLog } from "./refusal.ts";
import { send } from "./send.ts";
import { reportOf } from "./shapes.ts";

export interface ApiPeers {
  readonly ledger: Pick<Ledger, "responses" | "response">;
  /** Whoever presents it may read everything; without one nobody may read anything. */
  readonly token: Secret | undefined;
  readonly metrics: Pick<Metrics, "apiAnswered">;
  readonly logger: Logger;
  readonly clock: () => Date;
  readonly limits?: Partial<typeof defaultLimits> | undefined;
}

/** Answers what is asked below `/api/`. Never throws. */
export type Api = (request: IncomingMessage, response: ServerResponse) => void;

const defaultLimits = {
  /** Readers at the same time: they share the ledger with the intake and the engine. */
  concurrency: 4,
  deadlineMs: 10_000,
  /** Of a page; the responses beyond it are on the next one. */
  pageBytes: 1_048_576,
};

const collection = "/api/v1/responses";

/** The read API: `GET /api/v1/responses` and `GET /api/v1/responses/<id>` (docs/api.md). */
export function createApi(peers: ApiPeers): Api {
  const { ledger, clock } = peers;
  const limits = { ...defaultLimits, ...peers.limits };
  const admit = createGate(peers.token);
  const reading = createReading(limits);
  const cursors = createCursors(peers.token?.reveal() ?? "");
  const note = createRefusalLog(peers.logger, clock);

  const answerTo = async (request: IncomingMessage, response: ServerResponse): Promise<string> => {
    admit(request);
    const question = questionIn(request, { now: clock(), cursors });
    return reading((isLate) =>
      question.kind === "one"
        ? oneOf(question.id, ledger)
        : pageOf(question.query, ledger, {
            cursors,
            maxBytes: limits.pageBytes,
            isEnough: () => isLate() || response.destroyed,
          }),
    );
  };

  return (request, response) => {
    const reply = (status: ApiStatus, body: string, headers?: Readonly<Record<string, string>>) => {
      peers.metrics.apiAnswered(status);
      send(response, status, body, headers);
    };
    answerTo(request, response).then(
      (body) => reply(200, body),
      (error: unknown) => {
        const refusal = refusalOf(error);
        note(refusal, request.socket.remoteAddress);
        reply(refusal.status, JSON.stringify(refusal.body), refusal.details.headers);
      },
    );
  };
}

type Question =
  | { readonly kind: "page"; readonly query: ResponseQuery }
  | { readonly kind: "one"; readonly id: string };

function questionIn({ method, url = "" }: IncomingMessage, context: QueryContext): Question {
  const [path = "", ...query] = url.split("?");
  const parameters = new URLSearchParams(query.join("?"));
  const id = idIn(path);
  if (path !== collection && id === undefined) {
    throw new ApiRefusal("not_found", "there is nothing here", { expected: `${collection}, ${collection}/<id>` });
  }
  if (method !== "GET" && method !== "HEAD") {
    throw new ApiRefusal("method_not_allowed", "the history can only be read", { headers: { allow: "GET, HEAD" } });
  }
  if (id === undefined) {
    return { kind: "page", query: queryIn(parameters, context) };
  }
  if (parameters.size > 0) {
    throw new ApiRefusal("invalid_parameter", "one response takes no parameters", { expected: `${collection}/<id>` });
  }
  return { kind: "one", id };
}

function idIn(path: string): string | undefined {
  const [, encoded] = /^\/api\/v1\/responses\/([^/]+)$/.exec(path) ?? [];
  try {
    return encoded && decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}

async function oneOf(id: string, ledger: ApiPeers["ledger"]): Promise<string> {
  const detail = await ledger.response(id);
  if (detail === undefined) {
    throw new ApiRefusal("not_found", "there is no response of this id, or no more", { field: "id" });
  }
  return JSON.stringify(reportOf(detail));
}

/** Only the ledger's own words leave the house. */
function refusalOf(error: unknown): ApiRefusal {
  if (error instanceof ApiRefusal) {
    return error;
  }
  return error instanceof LedgerUnavailable
    ? new ApiRefusal("unavailable", `the history cannot be read now: ${error.message}`, {
        headers: { "retry-after": "1" },
      })
    : new ApiRefusal("internal", "the history could not be read: the log says why", { cause: error });
}
