/** Why an action failed; also a metric label. Retry is decided from it. */
export const errorCodes = [
  "not_found",
  "forbidden",
  "conflict",
  "invalid",
  "throttled",
  "unavailable",
  "timeout",
  "interrupted",
  "cancelled",
  "internal",
] as const;

export type ErrorCode = (typeof errorCodes)[number];

const passing: readonly ErrorCode[] = ["throttled", "unavailable", "timeout", "conflict"];

export interface ActionErrorOptions extends ErrorOptions {
  readonly text?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly notBegun?: boolean | undefined;
}

/** The one way for an action, context, output or notifier to fail. The message is for people; branch on the code. */
export class ActionError extends Error {
  override readonly name = "ActionError";
  readonly code: ErrorCode;
  /** Milliseconds the other side asked us to wait (`Retry-After`). */
  readonly retryAfterMs: number | undefined;
  /**
   * The other side has certainly not begun what this one call asked for, or the call only read: to make it again cannot do anything
   * twice. It says nothing of calls that an action made before.
   */
  readonly notBegun: boolean;
  /** What it did or read until it failed, as the `text` of a success. */
  readonly text: string | undefined;

  constructor(code: ErrorCode, message: string, options: ActionErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
    this.notBegun = options.notBegun ?? false;
    this.text = options.text;
  }
}

/** Whether the fault may be gone the next time. */
export function isPassing(error: unknown): error is ActionError {
  return error instanceof ActionError && passing.includes(error.code);
}

/** The target itself no longer exists, or another object has taken its name: the engine ends the action `ignored`. */
export class TargetGone extends ActionError {
  constructor(message: string, options: ErrorOptions = {}) {
    super("not_found", message, options);
  }
}

/** The same error, of a call before which something else failed or ended: it was not made. */
export function notBegun({ code, message, cause, retryAfterMs }: ActionError): ActionError {
  return new ActionError(code, message, { cause, retryAfterMs, notBegun: true });
}
