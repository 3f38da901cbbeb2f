import express, { type NextFunction, type Request, type Response } from "express";
import type { Logger } from "pino";
import type { Ledger } from "../ledger/ledger.ts";
import type { MetricsPage } from "../telemetry/open-metrics.ts";
import { answer } from "./answer.ts";
import { notFound, pagePaths } from "./paths.ts";
import type { Refusal, Refusals } from "./refusal.ts";

export interface PagesPeers {
  readonly ledger: Pick<Ledger, "faults">;
  /** Why events cannot be handled now; empty when they can. */
  readonly readiness: () => readonly string[];
  /** What `GET /readyz?verbose` says besides. */
  readonly details?: (() => object) | undefined;
  /** In the format that the `Accept` of the request asks for. */
  readonly renderMetrics: (accept: string | undefined) => Promise<MetricsPage>;
  readonly refusals: Refusals;
  readonly logger: Logger;
}

/** What people, probes and Prometheus ask for; all that is not an event. */
export function createPages({
  ledger,
  readiness,
  details,
  renderMetrics,
  refusals,
  logger,
}: PagesPeers): express.Express {
  const refuse = (refusal: Refusal) => (request: Request, response: Response) =>
    refusals.refuse(response, refusal, { remote: request.socket.remoteAddress });

  const pages = express();
  pages.disable("x-powered-by");
  pages.disable("etag");

  pages.get("/healthz", (_request, response) => answer(response, 200, { status: "ok" }));
  pages.get("/readyz", ({ query }, response) => {
    const reasons = [...readiness(), ...ledger.faults()];
    const ready = reasons.length === 0;
    const more = Object.hasOwn(query, "verbose") ? details?.() : {};
    answer(
      response,
      ready ? 200 : 503,
      ready ? { status: "ready", ...more } : { status: "not ready", reasons, ...more },
    );
  });
  pages.get("/metrics", async (request, response) => {
    const { contentType, body } = await renderMetrics(request.headers.accept);
    const length = Buffer.byteLength(body);
    response.writeHead(200, { "content-type": contentType, "content-length": length, vary: "accept" });
    response.end(body);
  });
  pages.all("/", refuse(methodNotAllowed("POST, PUT")));
  pages.all([...pagePaths], refuse(methodNotAllowed("GET, HEAD")));
  pages.use(refuse(notFound));
  // Express knows an error handler by its four parameters; without one it shows the stack to whoever asks.
  pages.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    logger.error({ err: error }, "page failed");
    answer(response, 500, { error: { message: "the page could not be made" } });
  });
  return pages;
}

function methodNotAllowed(allow: string): Refusal {
  return {
    status: 405,
    reason: "method_not_allowed",
    expected: allow,
    message: "the method is not allowed here",
    headers: { allow },
  };
}
