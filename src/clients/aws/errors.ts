import { ActionError, type ErrorCode } from "../../catalogue/errors.ts";
import { codeOfStatus, retryAfterMs } from "../../catalogue/http.ts";

/** What the SDK throws, as far as it says. */
interface SdkError extends Error {
  /** Of the operating system: `ECONNREFUSED`. */
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number | undefined };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

const noCredentials =
  "no AWS credentials: set aws.access_key and aws.secret_key, or give Hallux a role (IRSA, Pod Identity, instance profile)";

const denials = ["AccessDenied", "AccessDeniedException"];
const throttles = ["Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"];

export function lambdaError(error: unknown, functionName: string): ActionError {
  const resource = `function ${functionName}`;
  return actionError(error, resource, `missing permission lambda:InvokeFunction on ${resource}`);
}

export function roleError(error: unknown, roleArn: string): ActionError {
  const resource = `role ${roleArn}`;
  return actionError(error, resource, `missing permission sts:AssumeRole on ${resource}, or its external id differs`);
}

/** Of the SDK's own chain: environment, files, web identity, container, instance. */
export function credentialsError(error: unknown): ActionError {
  return actionError(error, "AWS credentials", "AWS gives Hallux no credentials");
}

function actionError(thrown: unknown, subject: string, denial: string): ActionError {
  if (thrown instanceof ActionError) {
    return thrown;
  }
  const error = thrown as SdkError;
  if (error.name === "CredentialsProviderError") {
    return new ActionError("forbidden", `${noCredentials}: ${error.message}`, { cause: error });
  }
  if (denials.includes(error.name)) {
    return new ActionError("forbidden", `${denial}: ${error.message}`, { cause: error });
  }
  return new ActionError(codeOf(error), `${subject}: ${error.name}: ${error.message}`, {
    cause: error,
    retryAfterMs: retryAfterMs(error.$response?.headers?.["retry-after"]),
  });
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
