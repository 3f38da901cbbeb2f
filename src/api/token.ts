import { randomBytes } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { Secret } from "../schema/secret.ts";

export interface ApiTokenOptions {
  /** `api.token` */
  readonly configured: Secret | undefined;
  /** The ledger's, of this process alone; undefined where it has none. */
  readonly directory: string | undefined;
  readonly logger: Logger;
}

/** Where the token is kept that nobody configured: whoever may read this file may read the history. */
export function apiTokenFile(directory: string): string {
  return join(directory, "api-token");
}

/**
 * The token of the read API: the configured one, else the one kept in the directory, else a new one that is kept there. Undefined
 * where it cannot be kept: then nobody could present it.
 */
export async function apiToken({ configured, directory, logger }: ApiTokenOptions): Promise<Secret | undefined> {
  if (configured !== undefined || directory === undefined) {
    return configured;
  }
  const file = apiTokenFile(directory);
  try {
    return new Secret((await keptIn(file, logger)) ?? (await keepNew(file, directory)));
  } catch (err) {
    logger.error({ err, file }, "no token for the history: nobody can read it until api.token is set");
    return undefined;
  }
}

const form = /^[A-Za-z0-9_-]{43}$/;
const othersBits = 0o077;

/** Undefined where there is none to be used: what others could read is no secret any more. */
async function keptIn(file: string, logger: Logger): Promise<string | undefined> {
  const handle = await open(file).catch(() => undefined);
  if (handle === undefined) {
    return undefined;
  }
  try {
    const { mode } = await handle.stat();
    if ((mode & othersBits) !== 0) {
      logger.warn({ file }, "others could read the token of the history: a new one replaces it");
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
