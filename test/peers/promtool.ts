import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "hallux-peers");

/** Undefined where it is not installed: `test/peers/promtool.sh` does it. */
export const promtool: string | undefined = [join(cache, "promtool-0.315.0", "promtool")].find((path) =>
  existsSync(path),
);

export const withoutPromtool = "skipped: promtool is not here, test/peers/promtool.sh installs it";
