import { abortedError } from "../../catalogue/abort.ts";
import { ActionError } from "../../catalogue/errors.ts";
import { startOfBody } from "../../catalogue/http.ts";

const linkLocal = "http://169.254.169.254";
const maxBytes = 64 * 1024;
const tokenSeconds = 21_600;
/** Renewed a minute before it expires. */
const tokenMs = (tokenSeconds - 60) * 1000;
const silenceMs = 60_000;

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** The value of a path (`meta-data/placement/region`); undefined where there is no such service or path. */
export type InstanceMetadata = (path: string, signal: AbortSignal) => Promise<string | undefined>;

/** IMDSv2, with a session token. Where nothing answers, nothing is asked again for a minute: outside AWS no action waits. */
export function createInstanceMetadata({
  endpoint = linkLocal,
  deadlineMs = 1000,
  now = Date.now,
}: {
  readonly endpoint?: string | undefined;
  /** Of each request. */
  readonly deadlineMs?: number;
  readonly now?: () => number;
} = {}): InstanceMetadata {
  let token = { value: "", expiresAt: 0 };
  let silentUntil = 0;

  async function ask(path: string, init: RequestInit, signal: AbortSignal): Promise<Answer | undefined> {
    const url = new URL(`/latest/${path}`, endpoint);
    try {
      return await send(url, { ...init, signal: AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]) });
    } catch {
      if (signal.aborted) {
        throw abortedError(signal, "the instance metadata request");
      }
      silentUntil = now() + silenceMs;
      return undefined;
    }
  }

  async function session(signal: AbortSignal): Promise<string | undefined> {
    if (now() < token.expiresAt) {
      return token.value;
    }
    const headers = { "x-aws-ec2-metadata-token-ttl-seconds": String(tokenSeconds) };
    const answer = await ask("api/token", { method: "PUT", headers }, signal);
    if (answer?.status !== 200) {
      silentUntil = now() + silenceMs;
      return undefined;
    }
    token = { value: answer.body, expiresAt: now() + tokenMs };
    return token.value;
  }

  return async (path, signal) => {
    const id = now() < silentUntil ? undefined : await session(signal);
    if (id === undefined) {
      return undefined;
    }
    const answer = await ask(path, { headers: { "x-aws-ec2-metadata-token": id } }, signal);
    if (answer?.status === 401) {
      token = { value: "", expiresAt: 0 };
    }
    return answer && elementOf(answer, path);
  };
}

async function send(url: URL, init: RequestInit): Promise<Answer> {
  const response = await fetch(url, { ...init, redirect: "error" });
  return { status: response.status, body: await startOfBody(response, maxBytes) };
}

function elementOf({ status, body }: Answer, path: string): string | undefined {
  if (status === 200 || status === 404) {
    return status === 200 ? body : undefined;
  }
  throw new ActionError("unavailable", `the instance metadata service answered ${status} for ${path}`, {
    notBegun: true,
  });
}
