import type { IncomingMessage } from "node:http";
import type { Refusal } from "./refusal.ts";

/** For people, probes and Prometheus; open to all of them. */
export const pagePaths = ["/healthz", "/readyz", "/metrics"] as const;

/** What is below it is the read API's. */
export const apiPrefix = "/api/";

/** Has the configuration and the rules loaded again, for whoever may read the history. */
export const reloadPath = "/-/reload";

/** Without the query. */
export function pathOf({ url = "" }: IncomingMessage): string {
  const query = url.indexOf("?");
  return query < 0 ? url : url.slice(0, query);
}

export const notFound: Refusal = {
  status: 404,
  reason: "not_found",
  expected: ["/", ...pagePaths].join(", "),
  message: "there is nothing here; events go to /",
};
