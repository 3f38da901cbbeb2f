import type { IncomingMessage } from "node:http";
import type { Logger } from "pino";
import type { Problem } from "../schema/problem.ts";
import type { Secret } from "../schema/secret.ts";
import type { Reloaded } from "../settings/reload.ts";
import type { ApiStatus, Metrics } from "../telemetry/metrics.ts";
import type { Api } from "./api.ts";
import { createGate } from "./gate.ts";
import { ApiRefusal, createRefusalLog } from "./refusal.ts";
import { send } from "./send.ts";

export interface ReloadPeers {
  /** Rejects where Hallux stops. */
  readonly reload: () => Promise<Reloaded>;
  /** Whoever presents it may have it reloaded; without one nobody may. */
  readonly token: Secret | undefined;
  readonly metrics: Pick<Metrics, "apiAnswered">;
  readonly logger: Logger;
  readonly clock: () => Date;
  readonly deadlineMs?: number | undefined;
}

const stopped = new ApiRefusal("unavailable", "nothing is reloaded any more: Hallux stops");

/** `POST /-/reload` (docs/api.md): 200 with what is in force, 422 with the Problems. What is sent with it is not read. */
export function createReloadPage({ reload, token, metrics, logger, clock, deadlineMs = 30_000 }: ReloadPeers): Api {
  const admit = createGate(token);
  const note = createRefusalLog(logger, clock);

  const answerTo = async (request: IncomingMessage): Promise<Reloaded> => {
    if (request.method !== "POST") {
      throw new ApiRefusal("method_not_allowed", "a reload is asked for by POST", { headers: { allow: "POST" } });
    }
    admit(request);
    return within(deadlineMs, reload());
  };

  return (request, response) => {
    const reply = (status: ApiStatus, body: object, headers?: Readonly<Record<string, string>>) => {
      metrics.apiAnswered(status);
      send(response, status, JSON.stringify(body), { ...(hasBody(request) && { connection: "close" }), ...headers });
    };
    answerTo(request).then(
      (reloaded) => reply(reloaded.status === "refused" ? 422 : 200, shown(reloaded)),
      (error: unknown) => {
        const refusal = error instanceof ApiRefusal ? error : stopped;
        if (refusal === stopped) {
          logger.debug("reload not begun: hallux is stopping");
        } else {
          note(refusal, request.socket.remoteAddress);
        }
        reply(refusal.status, refusal.body, refusal.details.headers);
      },
    );
  };
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

function shown(reloaded: Reloaded): object {
  const { status, hash } = reloaded;
  return reloaded.status === "refused"
    ? { status, hash, problems: reloaded.problems.map(problemShown) }
    : { status, hash, restart_needed: reloaded.restartNeeded };
}

/** Without the text that stands there. */
function problemShown({ file, line, column, message, hint }: Problem): object {
  return { file, line, column, message, hint };
}

function within<T>(deadlineMs: number, reloading: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(tooLate(deadlineMs)), deadlineMs);
  return Promise.race([reloading, late]).finally(() => clearTimeout(timer));
}

function tooLate(deadlineMs: number): ApiRefusal {
  const message = `the files could not be read within ${deadlineMs / 1000} s: GET /readyz?verbose says what is in force`;
  return new ApiRefusal("unavailable", message, { headers: { "retry-after": "5" } });
}
