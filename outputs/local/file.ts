import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { untilAborted } from "../../src/catalogue/abort.ts";
import { defineOutput } from "../../src/catalogue/catalogue.ts";
import { ActionError, type ErrorCode } from "../../src/catalogue/errors.ts";
import { text } from "../../src/schema/field.ts";

/** Leaves room for a number and `.partial` within the 255 bytes of a file name. */
const maxNameLength = 240;
const maxNamesakes = 1000;

export const file = defineOutput({
  id: "local:file",
  summary: "Keep the artifact as a file on the machine, or in the container, that Hallux runs in",
  description: [
    "The file is written as `<name>.partial`, which only Hallux's user may read, and gets its name when all of it is on the",
    "disk. A file that has the name already is never overwritten: the new one's name ends in `-2`, `-3` …",
  ].join("\n"),
  uses: [],
  rbac: [],
  params: {
    destination: text("The directory, as an absolute path; it must exist", { required: true, pattern: "^/" }),
  },
  settings: {},
  examples: [{ title: "A volume mounted for evidence", parameters: { destination: "/var/lib/hallux/artifacts" } }],

  async store({ artifact, params: { destination }, signal }) {
    const name = fileName(artifact.key);
    try {
      const partial = await createNew((number) => join(destination, `${numbered(name, number)}.partial`));
      const location = await removedIfFailing(partial.path, async () => {
        await fill(partial.handle, heeding(artifact.body, signal));
        return publish(partial.path, (number) => join(destination, numbered(name, number)));
      });
      return { location };
    } catch (error) {
      throw explained(error, destination);
    }
  },
});

interface NewFile {
  readonly path: string;
  readonly handle: FileHandle;
}

/** The paths by number, from 1. */
type Paths = (number: number) => string;

function fileName(key: string): string {
  if (!/^[A-Za-z0-9._-]+$/.test(key) || /^\.{1,2}$/.test(key)) {
    throw new ActionError("internal", "the artifact's key is not a file name");
  }
  return key.length <= maxNameLength ? key : `${key.slice(0, maxNameLength / 2)}${key.slice(-maxNameLength / 2)}`;
}

function numbered(name: string, number: number): string {
  return number === 1 ? name : `${name}-${number}`;
}

/** The first of the paths at which there is nothing, not even a symbolic link. */
async function createNew(paths: Paths): Promise<NewFile> {
  for (let number = 1; number <= maxNamesakes; number += 1) {
    const path = paths(number);
    const handle = await open(path, "wx", 0o600).catch(undefinedIfExists);
    if (handle !== undefined) {
      return { path, handle };
    }
  }
  throw new ActionError("conflict", `${paths(1)} exists, and so do ${maxNamesakes - 1} of the same name with a number`);
}

function undefinedIfExists(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "EEXIST") {
    throw error;
  }
}

async function fill(handle: FileHandle, body: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    await handle.writeFile(body);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Takes the name by creating it, then renames: unlike a hard link this works on every file system. */
async function publish(partial: string, paths: Paths): Promise<string> {
  const { path, handle } = await createNew(paths);
  return removedIfFailing(path, async () => {
    await handle.close();
    await rename(partial, path);
    return path;
  });
}

async function removedIfFailing<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await unlink(path).catch(() => undefined);
    throw error;
  }
}

/** The body, until the signal fires: one that hangs must not keep the partial file. */
async function* heeding(body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const chunk = await untilAborted(chunks.next(), signal, "storing the artifact");
      if (chunk.done) {
        return;
      }
      yield chunk.value;
    }
  } finally {
    // Not awaited: a body that hangs would never answer.
    void chunks.return?.().catch(() => undefined);
  }
}

const faults: Readonly<Record<string, { readonly code: ErrorCode; readonly reason: string }>> = {
  ENOENT: { code: "not_found", reason: "there is no such directory; create it, or mount a volume there" },
  ENOTDIR: { code: "invalid", reason: "it is not a directory" },
  EACCES: { code: "forbidden", reason: "Hallux's user may not write there" },
  EPERM: { code: "forbidden", reason: "Hallux's user may not write there" },
  EROFS: { code: "forbidden", reason: "the file system is read-only; mount a volume there" },
  ENOSPC: { code: "unavailable", reason: "no space is left" },
  EDQUOT: { code: "unavailable", reason: "the disk quota is used up" },
};

function explained(error: unknown, destination: string): unknown {
  const fault = faults[String((error as NodeJS.ErrnoException).code)];
  return fault === undefined || error instanceof ActionError
    ? error
    : new ActionError(fault.code, `the artifact cannot be kept in ${destination}: ${fault.reason}`, { cause: error });
}
