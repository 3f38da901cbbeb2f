import { ActionError, type ErrorCode } from "../../catalogue/errors.ts";
import { codeOfStatus, retryAfterMs } from "../../catalogue/http.ts";
import { startOfWords } from "../told.ts";
import type { GcpSettings } from "./settings.ts";

/** What google-auth-library throws, as far as it says. */
interface GoogleError extends Error {
  readonly response?: { readonly status: number; readonly headers?: Headers };
}

/** Not with its cause: that holds the request, and with it signed assertions and tokens. */
export function credentialsError(thrown: unknown, { credentialsPath }: GcpSettings): ActionError {
  if (thrown instanceof ActionError) {
    return thrown;
  }
  const error = thrown as GoogleError;
  const from = credentialsPath ?? "the metadata server (set gcp.credentials_path where there is none)";
  return new ActionError(codeOf(error), `no Google Cloud credentials from ${from}: ${startOfWords(error.message)}`, {
    retryAfterMs: retryAfterMs(error.response?.headers?.get("retry-after")),
    notBegun: true,
  });
}

/** Of requests it tells their `config`; 400 is the token service's answer to a key, or to a token, that it does not take. */
function codeOf(error: GoogleError): ErrorCode {
  if (error.response !== undefined) {
    return error.response.status === 400 ? "forbidden" : codeOfStatus(error.response.status);
  }
  return "config" in error ? "unavailable" : "invalid";
}
