import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../support/free-ports.ts";
import { until } from "../support/until.ts";

const version = "5.2.5";
const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "hallux-peers", `moto-${version}`);
const program = fileURLToPath(new URL("./moto-server.py", import.meta.url));

/** Undefined where it is not here. */
export const motoPython: string | undefined = existsSync(join(cache, "installed"))
  ? join(cache, "bin", "python")
  : undefined;

export const withoutMoto = "no moto is here: test/peers/moto.sh installs it";

export interface Moto extends AsyncDisposable {
  readonly url: string;
  /** From now on AWS's permissions hold: before, everyone may do everything. */
  enforcePermissions(): Promise<void>;
}

/** AWS on a port of its own, with nothing in it. */
export async function startMoto(python: string): Promise<Moto> {
  const port = await freePort();
  const child = spawn(python, [program, String(port)], { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const url = `http://127.0.0.1:${port}`;
  await until(`moto answers at ${url}`, () => {
    if (child.exitCode !== null) {
      throw new Error(`moto ended with ${child.exitCode}`);
    }
    return answers(`${url}/moto-api/data.json`);
  });
  return {
    url,
    enforcePermissions: async () => void (await fetch(`${url}/moto-api/reset-auth`, { method: "POST", body: "0" })),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

function answers(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(5_000) }).then(
    ({ ok }) => ok,
    () => false,
  );
}
