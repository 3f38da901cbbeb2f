import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../support/free-ports.ts";
import { until } from "../support/until.ts";

const binary = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "hallux-peers", "minio", "minio");

/** Whether one is to be had: `test/peers/minio.sh` installs it. */
export const hasMinio = existsSync(binary);

export const withoutMinio = "no MinIO is here: test/peers/minio.sh installs one";

export interface MinioServer {
  /** Host and port. */
  readonly endpoint: string;
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** Ends it and removes its files. */
  dispose(): Promise<void>;
}

export async function startMinio(): Promise<MinioServer> {
  const directory = mkdtempSync(join(tmpdir(), "hallux-minio-"));
  const endpoint = `127.0.0.1:${await freePort()}`;
  const [user, password] = ["hallux", "very secret key"];
  const environment = {
    PATH: process.env["PATH"],
    HOME: directory,
    MINIO_ROOT_USER: user,
    MINIO_ROOT_PASSWORD: password,
    MINIO_BROWSER: "off",
    MINIO_UPDATE: "off",
    // 32 bytes, base64: for encryption on the server.
    MINIO_KMS_SECRET_KEY: `evidence:${Buffer.alloc(32, 7).toString("base64")}`,
  };
  const child = spawn(binary, ["server", "--quiet", "--address", endpoint, join(directory, "data")], {
    env: environment,
    stdio: "ignore",
  });
  await answering(`http://${endpoint}/minio/health/cluster`, child);
  return {
    endpoint,
    url: `http://${endpoint}`,
    user,
    password,
    async dispose() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function answering(url: string, child: ChildProcess): Promise<void> {
  return until(`MinIO answers at ${url}`, () => {
    if (child.exitCode !== null) {
      throw new Error(`MinIO ended with ${child.exitCode}`);
    }
    return fetch(url, { signal: AbortSignal.timeout(5_000) }).then(
      ({ status }) => status === 200,
      () => false,
    );
  });
}
