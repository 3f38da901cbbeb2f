import { ActionError, type ErrorCode, notBegun } from "../../catalogue/errors.ts";
import { codeOfStatus, neverSent, refusedBefore, retryAfterMs } from "../../catalogue/http.ts";
import type { Verdict } from "../breaker.ts";
import type { LambdaInvocation } from "./port.ts";

/** What the SDK throws, as far as it says. */
export interface SdkError extends Error {
  /** Of the operating system: `ECONNREFUSED`. */
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number | undefined };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

const noCredentials =
  "no AWS credentials: set aws.access_key and aws.secret_key, or give Hallux a role (IRSA, Pod Identity, instance profile)";

/** What the SDK's parsers throw at an answer that is not in AWS's form, such as a proxy's page. */
const parserErrors = ["SyntaxError", "Error"];

const denials = ["AccessDenied", "AccessDeniedException"];
const throttles = ["Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"];

/**
 * What a failed call of a function tells of Lambda itself. A 502 is the function's own settings. Where Lambda answers only when the
 * function has ended, a call that takes too long tells of the function: one that is slow must not keep the others from being called.
 */
export function verdictOn(error: unknown, { type }: LambdaInvocation): Verdict {
  const { name, $metadata, code } = error as SdkError;
  const status = $metadata?.httpStatusCode;
  if (status !== undefined) {
    return status === 500 || status === 503 || status === 504 ? "down" : "up";
  }
  if (error instanceof ActionError) {
    return error.code === "timeout" && type !== "RequestResponse" ? "down" : "unknown";
  }
  return code !== undefined || name === "TimeoutError" ? "down" : "unknown";
}

export function lambdaError(error: unknown, functionName: string): ActionError {
  const resource = `function ${functionName}`;
  return actionError(error, resource, `missing permission lambda:InvokeFunction on ${resource}`);
}

export function roleError(error: unknown, roleArn: string): ActionError {
  const resource = `role ${roleArn}`;
  const denial = `missing permission sts:AssumeRole on ${resource}, or its external id differs`;
  return notBegun(actionError(error, resource, denial));
}

/** Of the SDK's own chain: environment, files, web identity, container, instance. */
export function credentialsError(error: unknown): ActionError {
  return notBegun(actionError(error, "AWS credentials", "AWS gives Hallux no credentials"));
}

/** `subject` is what the call was about, `denial` what a refusal means. */
export function actionError(thrown: unknown, subject: string, denial: string): ActionError {
  if (thrown instanceof ActionError) {
    return thrown;
  }
  const error = thrown as SdkError;
  if (error.name === "CredentialsProviderError") {
    return new ActionError("forbidden", `${noCredentials}: ${error.message}`, { cause: error, notBegun: true });
  }
  if (denials.includes(error.name)) {
    return new ActionError("forbidden", `${denial}: ${error.message}`, { cause: error, notBegun: true });
  }
  const { httpStatusCode = 0 } = error.$metadata ?? {};
  const certainlyNotBegun = throttles.includes(error.name) || refusedBefore(httpStatusCode) || neverSent(error);
  return new ActionError(codeOf(error), `${subject}: ${wordsOf(error)}`, {
    cause: error,
    retryAfterMs: retryAfterMs(error.$response?.headers?.["retry-after"]),
    notBegun: certainlyNotBegun,
  });
}

function wordsOf({ name, message, $metadata }: SdkError): string {
  const status = $metadata?.httpStatusCode;
  return status !== undefined && parserErrors.includes(name)
    ? `the answer, of status ${status}, is not in AWS's form: does something stand in between?`
    : `${name}: ${message}`;
}

function codeOf({ name, code, $metadata }: SdkError): ErrorCode {
  if (throttles.includes(name)) {
    return "throttled";
  }
  if ($metadata?.httpStatusCode !== undefined) {
    return codeOfStatus($metadata.httpStatusCode);
  }
  return code !== undefined || name === "TimeoutError" ? "unavailable" : "internal";
}
