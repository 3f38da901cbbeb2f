import { stat } from "node:fs/promises";
import { join } from "node:path";
import { fileName } from "./store.ts";

const files = [fileName, `${fileName}-wal`, `${fileName}-shm`];

/** Bytes of the files; undefined where there are none, or where they cannot be looked at. */
export async function sizeOf(directory: string): Promise<number | undefined> {
  const sizes = await Promise.all(files.map((name) => bytesOf(join(directory, name))));
  const known = sizes.filter((size) => size !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, size) => sum + size, 0);
}

function bytesOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}
