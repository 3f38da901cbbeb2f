import { isAbsolute, join } from "node:path";

/**
 * Where Hallux keeps what must outlive it, unless `ledger.path` says otherwise: systemd's `StateDirectory=`, else where the XDG
 * base directories put state.
 */
export function stateDirectory(env: Readonly<Record<string, string | undefined>>, home: string): string {
  const { STATE_DIRECTORY = "", XDG_STATE_HOME = "" } = env;
  const [given = ""] = STATE_DIRECTORY.split(":");
  if (given !== "") {
    return given;
  }
  return isAbsolute(XDG_STATE_HOME) ? join(XDG_STATE_HOME, "hallux") : join(home, ".local", "state", "hallux");
}

/** Where the ledger's files are, the token of the read API beside them; undefined where it needs none and is given none. */
export function ledgerDirectory(
  { driver, path }: { readonly driver: "sqlite" | "nats"; readonly path?: string | undefined },
  fallback: string,
): string | undefined {
  return path ?? (driver === "nats" ? undefined : fallback);
}
