import { randomBytes } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { Secret } from "../schema/secret.ts";

export interface KeptTokenOptions {
  /** The ledger's, of this process alone. */
  readonly directory: string;
  readonly logger: Logger;
  /** Until it is tried again where it could not be kept. */
  readonly againMs?: number;
}

/** Where the token is kept that nobody configured: whoever may read this file may read the history. */
export function apiTokenFile(directory: string): string {
  return join(directory, "api-token");
}

/**
 * The token that nobody configured: the one kept in the directory, else a new one that is kept there. Undefined where it cannot be
 * kept: then nobody could present it. Whoever asks later may get one: the directory may be writable then.
 */
export function createKeptToken({
  directory,
  logger,
  againMs = 1_000,
}: KeptTokenOptions): () => Promise<Secret | undefined> {
  const file = apiTokenFile(directory);
  let trying: Promise<Secret | undefined> | undefined;
  let failedAt = Number.NEGATIVE_INFINITY;
  let told = false;

  const exposed = () => {
    if (!told) {
      logger.warn({ file }, "others could read the token of the history: a new one replaces it");
    }
  };
  async function attempt(): Promise<Secret | undefined> {
    try {
      const token = new Secret((await keptIn(file, exposed)) ?? (await keepNew(file, directory)));
      if (told) {
        logger.info({ file }, "there is a token for the history now");
      }
      told = false;
      return token;
    } catch (err) {
      if (!told) {
        const message =
          "no token for the history: nobody can read it until this file can be written or api.token is set";
        logger.error({ err, file }, message);
      }
      told = true;
      failedAt = performance.now();
      return undefined;
    } finally {
      trying = undefined;
    }
  }

  return async () => {
    if (trying === undefined && performance.now() - failedAt < againMs) {
      return undefined;
    }
    trying ??= attempt();
    return trying;
  };
}

const form = /^[A-Za-z0-9_-]{43}$/;
const othersBits = 0o077;

/** Undefined where there is none to be used: what others could read is no secret any more. */
async function keptIn(file: string, exposed: () => void): Promise<string | undefined> {
  const handle = await open(file).catch(() => undefined);
  if (handle === undefined) {
    return undefined;
  }
  try {
    const { mode } = await handle.stat();
    if ((mode & othersBits) !== 0) {
      exposed();
      return undefined;
    }
    const token = (await handle.readFile("utf8")).trim();
    return form.test(token) ? token : undefined;
  } finally {
    await handle.close();
  }
}

/** Whole or not at all: it gets its name when it is on disk. */
async function keepNew(file: string, directory: string): Promise<string> {
  const token = randomBytes(32).toString("base64url");
  const unnamed = `${file}.${randomBytes(8).toString("hex")}`;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  try {
    const handle = await open(unnamed, "wx", 0o600);
    try {
      await handle.writeFile(`${token}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(unnamed, file);
  } catch (error) {
    await rm(unnamed, { force: true });
    throw error;
  }
  return token;
}
