import { access, constants, type FileHandle, open, rename, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { eachUntilAborted } from "../../src/catalogue/abort.ts";
import { defineOutput } from "../../src/catalogue/catalogue.ts";
import { ActionError, type ErrorCode } from "../../src/catalogue/errors.ts";
import { firstFree } from "../../src/catalogue/first-free.ts";
import type { Digest } from "../../src/catalogue/outcome.ts";
import { readToTheEnd } from "../../src/clients/object-store.ts";
import { text } from "../../src/schema/field.ts";

export const file = defineOutput({
  id: "local:file",
  summary: "Keep the artifact as a file on the machine, or in the container, that Hallux runs in",
  description: [
    "The file is written as `<name>.partial`, which only Hallux's user may read, and gets its name when all of it is on the",
    "disk. A file that has the name already is never overwritten: the new one's name ends in `-2`, `-3` … Beside it `<name>.sha256`",
    "holds its digest: `sha256sum -c <name>.sha256` checks it.",
  ].join("\n"),
  uses: [],
  rbac: [],
  params: {
    destination: text("The directory, as an absolute path; it must exist", { required: true, pattern: "^/" }),
  },
  examples: [{ title: "A volume mounted for evidence", parameters: { destination: "/var/lib/hallux/artifacts" } }],

  async store({ artifact, params: { destination }, dryRun, signal }) {
    const path = join(destination, fileName(artifact.key));
    try {
      if (dryRun) {
        await mustTakeFiles(destination);
        await readToTheEnd(artifact.body, signal);
        return { location: path };
      }
      const partial = await firstFree(path, (one) => createNew(`${one}.partial`));
      return await removedIfFailing([partial.path], async () => {
        await fill(partial.handle, eachUntilAborted(artifact.body, signal, "storing the artifact"));
        return { location: await publish(partial.path, path, artifact.digest()) };
      });
    } catch (error) {
      throw explained(error, destination);
    }
  },
});

interface NewFile {
  readonly path: string;
  readonly handle: FileHandle;
}

async function mustTakeFiles(directory: string): Promise<void> {
  // With the slash it must be a directory.
  await access(`${directory}/`, constants.W_OK | constants.X_OK);
}

function fileName(key: string): string {
  if (!/^[A-Za-z0-9._-]+$/.test(key) || /^\.{1,2}$/.test(key)) {
    throw new ActionError("internal", "the artifact's key is not a file name");
  }
  return key;
}

/** Undefined where there is anything at the path, even a symbolic link. */
async function createNew(path: string): Promise<NewFile | undefined> {
  try {
    return { path, handle: await open(path, "wx", 0o600) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") {
      return undefined;
    }
    throw error;
  }
}

async function fill(handle: FileHandle, content: AsyncIterable<Uint8Array> | string): Promise<void> {
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Takes the name by creating it, then renames: unlike a hard link this works on every file system. */
async function publish(partial: string, wanted: string, { sha256 }: Digest): Promise<string> {
  const { path, sum } = await firstFree(wanted, createWithSum);
  return removedIfFailing([path, sum.path], async () => {
    await fill(sum.handle, `${sha256}  ${basename(path)}\n`);
    await rename(partial, path);
    await syncDirectory(dirname(path));
    return path;
  });
}

/** The name, still empty, and beside it the file for its digest. Undefined where one of them is taken. */
async function createWithSum(path: string): Promise<{ readonly path: string; readonly sum: NewFile } | undefined> {
  const file = await createNew(path);
  if (file === undefined) {
    return undefined;
  }
  await file.handle.close();
  const sum = await removedIfFailing([path], () => createNew(`${path}.sha256`));
  if (sum === undefined) {
    await unlink(path);
  }
  return sum && { path, sum };
}

/** A name, too, is on the disk only then. Some network file systems cannot do it. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path);
  try {
    await directory.sync();
  } catch (error) {
    if (!["EINVAL", "ENOSYS", "ENOTSUP"].includes(String((error as NodeJS.ErrnoException).code))) {
      throw error;
    }
  } finally {
    await directory.close();
  }
}

async function removedIfFailing<T>(paths: readonly string[], work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await Promise.allSettled(paths.map((path) => unlink(path)));
    throw error;
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
  ENAMETOOLONG: { code: "invalid", reason: "the path is too long for the file system" },
  ELOOP: { code: "invalid", reason: "its symbolic links lead in circles" },
  ERR_INVALID_ARG_VALUE: { code: "invalid", reason: "the path holds a NUL character" },
};

function explained(error: unknown, destination: string): unknown {
  const fault = faults[String((error as NodeJS.ErrnoException).code)];
  return fault === undefined || error instanceof ActionError
    ? error
    : new ActionError(fault.code, `the artifact cannot be kept in ${destination}: ${fault.reason}`, { cause: error });
}
