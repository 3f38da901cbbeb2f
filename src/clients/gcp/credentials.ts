import { abortedError, untilAborted } from "../../catalogue/abort.ts";
import { notBegun } from "../../catalogue/errors.ts";
import { readCredentialsFile } from "./credentials-file.ts";
import { credentialsError } from "./errors.ts";
import type { Identity } from "./sdk.ts";
import type { GcpSettings } from "./settings.ts";

const answerMs = 10_000;
const renewBeforeMs = 5 * 60_000;

/** Every failure is an ActionError `notBegun`: what needs a token is not asked for without one. */
export interface GcpCredentials {
  /** Id or number of the project that they belong to; undefined where nothing says. */
  project(signal: AbortSignal): Promise<string | undefined>;
  /** For Google's own APIs. */
  accessToken(signal: AbortSignal): Promise<string>;
  /** For what runs on Google Cloud: it says who calls. */
  idToken(audience: string, signal: AbortSignal): Promise<string>;
  /** Somebody refused the ID token that was kept. */
  forget(audience: string): void;
}

interface IdToken {
  readonly token: string;
  readonly renewAt: number;
}

/** google-auth-library is loaded, and the file is read, by the first call. */
export function createCredentials(settings: GcpSettings): GcpCredentials {
  let identity: Promise<Identity> | undefined;
  const idTokens = new Map<string, IdToken>();

  /** After a failure all begins anew: the file may be another by then, and nobody waits for an answer that never came. */
  async function ask<T>(question: (identity: Identity) => Promise<T>, signal: AbortSignal): Promise<T> {
    const what = "the request for Google Cloud credentials";
    identity ??= openIdentity(settings);
    const asked = identity;
    const ends = AbortSignal.any([signal, AbortSignal.timeout(answerMs)]);
    try {
      return await untilAborted(asked.then(question), ends, what);
    } catch (error) {
      if (identity === asked) {
        identity = undefined;
      }
      throw ends.aborted ? notBegun(abortedError(ends, what)) : credentialsError(error, settings);
    }
  }

  return {
    project: (signal) => ask((identity) => identity.project(), signal),
    accessToken: (signal) => ask((identity) => identity.accessToken(), signal),
    async idToken(audience, signal) {
      const kept = idTokens.get(audience);
      if (kept !== undefined && Date.now() < kept.renewAt) {
        return kept.token;
      }
      const token = await ask((identity) => identity.idToken(audience), signal);
      idTokens.set(audience, { token, renewAt: expiryOf(token) - renewBeforeMs });
      return token;
    },
    forget: (audience) => void idTokens.delete(audience),
  };
}

async function openIdentity(settings: GcpSettings): Promise<Identity> {
  const { credentialsPath } = settings;
  const file = credentialsPath === undefined ? undefined : await readCredentialsFile(credentialsPath);
  const { identityOf } = await import("./sdk.ts");
  return identityOf(file, settings);
}

/** Of a JSON Web Token, in milliseconds; 0 where it says nothing. */
function expiryOf(token: string): number {
  try {
    const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
    return Number(claims.exp ?? 0) * 1000;
  } catch {
    return 0;
  }
}
