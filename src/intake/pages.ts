import express, { type NextFunction, type Request, type Response } from "express";
import type { Logger } from "pino";
import type { Ledger } from "../ledger/ledger.ts";
import { answer } from "./answer.ts";
import { notFound, pagePaths } from "./paths.ts";
import type { Refusal, Refusals } from "./refusal.ts";

export interface PagesPeers {
  readonly ledger: Pick<Ledger, "faults">;
  /** Why events cannot be handled now; empty when they can. */
  readonly readiness: () => readonly string[];
  readonly renderMetrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
  readonly refusals: Refusals;
  readonly logger: Logger;
}

/** What people, probes and Prometheus ask for; all that is not an event. */
export function createPages({ ledger, readiness, renderMetrics, refusals, logger }: PagesPeers): express.Express {
  const refuse = (refusal: Refusal) => (request: Request, response: Response) =>
    refusals.refuse(response, refusal, { remote: request.socket.remoteAddress });

  const pages = express();
  pages.disable("x-powered-by");
  pages.disable("etag");

  pages.get("/healthz", (_request, response) => answer(response, 200, { status: "ok" }));
  pages.get("/readyz", (_request, response) => {
    const reasons = [...readiness(), ...ledger.faults()];
    const ready = reasons.length === 0;
    answer(response, ready ? 200 : 503, ready ? { status: "ready" } : { status: "not ready", reasons });
  });
  pages.get("/metrics", async (_request, response) => {
    const { contentType, body } = await renderMetrics();
    response.writeHead(200, { "content-type": contentType, "content-length": Buffer.byteLength(body) });
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
