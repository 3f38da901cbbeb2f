import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Files in a directory of their own, which goes with the scope that holds it. */
export interface Workplace extends Disposable {
  readonly directory: string;
  path(name: string): string;
}

export function workplace(files: Readonly<Record<string, string>>): Workplace {
  const directory = mkdtempSync(join(tmpdir(), "hallux-test-"));
  const path = (name: string) => join(directory, name);
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(path(name), text);
  }
  return {
    directory,
    path,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }),
  };
}
