import type { Logger } from "pino";
import type { ApiStatus } from "../telemetry/metrics.ts";

/** Why a question gets no answer: a closed set for programs; the message is for people. */
export type ApiRefusalReason = keyof typeof statuses;

const statuses = {
  invalid_parameter: 400,
  unauthorized: 401,
  not_configured: 403,
  not_found: 404,
  method_not_allowed: 405,
  busy: 429,
  internal: 500,
  unavailable: 503,
} as const satisfies Record<string, ApiStatus>;

interface Details extends ErrorOptions {
  /** The parameter at fault. */
  readonly field?: string;
  readonly expected?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export class ApiRefusal extends Error {
  override readonly name = "ApiRefusal";
  readonly reason: ApiRefusalReason;
  readonly details: Details;

  constructor(reason: ApiRefusalReason, message: string, details: Details = {}) {
    super(message, details);
    this.reason = reason;
    this.details = details;
  }

  get status(): ApiStatus {
    return statuses[this.reason];
  }

  get body(): object {
    const { field, expected } = this.details;
    return { error: { reason: this.reason, field, expected, message: this.message } };
  }
}

/** Whoever reaches the port can cause refusals: of each reason one line in ten seconds. */
const windowMs = 10_000;
/** Of a reader who may read, and asked for what is not there. */
const unlogged: readonly ApiRefusalReason[] = ["invalid_parameter", "not_found", "method_not_allowed"];

/** The line after some were left out says how many. */
export function createRefusalLog(
  logger: Logger,
  clock: () => Date,
): (refusal: ApiRefusal, remote: string | undefined) => void {
  const windows = new Map<ApiRefusalReason, { readonly start: number; suppressed: number }>();

  return ({ reason, status, message, cause }, remote) => {
    if (unlogged.includes(reason)) {
      return;
    }
    const now = clock().getTime();
    const window = windows.get(reason);
    if (window !== undefined && Math.abs(now - window.start) < windowMs) {
      window.suppressed += 1;
      return;
    }
    windows.set(reason, { start: now, suppressed: 0 });
    const suppressed = window?.suppressed || undefined;
    logger[status >= 500 ? "error" : "warn"](
      { reason, status, message, remote, err: cause, suppressed },
      "api request refused",
    );
  };
}
