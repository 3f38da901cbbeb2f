import { statSync } from "node:fs";
import { join } from "node:path";
import { StoreFault } from "./fault.ts";

/**
 * Remembers the files of a directory, which are open now. What it gives throws StoreFault once one of them was removed or replaced:
 * what is written into it from then on nobody finds again.
 */
export function sameFiles(directory: string, names: readonly string[]): () => void {
  const files = names.map((name) => ({ name, identity: identityOf(join(directory, name)) }));
  return () => {
    const missing = files.find(({ name, identity }) => identityOf(join(directory, name)) !== identity);
    if (missing !== undefined) {
      throw new StoreFault(
        `${missing.name} of the ledger in ${directory} was removed or replaced while Hallux had it open: ` +
          "what waited there may be lost; only Hallux may write in this directory",
        false,
      );
    }
  };
}

/** Undefined where it is not there. */
function identityOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found && `${found.dev}:${found.ino}`;
}
