import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("../../scripts/build.ts", import.meta.url));

/** Bundles Hallux as it ships, or with `--failpoints`, into the directory; gives the path of the program. */
export function bundle(directory: string, ...options: readonly "--failpoints"[]): string {
  execFileSync(process.execPath, [script, ...options, "--outdir", directory], { stdio: "inherit" });
  return join(directory, "hallux.js");
}
