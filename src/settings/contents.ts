import { hash } from "node:crypto";
import { type Stats, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { reasonOf } from "../config/given.ts";
import { readUtf8 } from "../rules/load.ts";

/** What a file held when it was read, or why it could not be read. */
export type Content = { readonly text: string } | { readonly fault: unknown };

/** By path. */
export type Contents = ReadonlyMap<string, Content>;

export interface Reader {
  /** Gives a file as it was when it was read first; throws where that was not possible. */
  readonly readFile: (path: string) => string;
  /** Every file that was asked for. */
  readonly contents: Contents;
}

/** Of a file that is read while Hallux serves: what is longer is there by mistake, and could take all its memory. */
const maxBytes = 16 * 1024 * 1024;

/** Each file is read once: whoever asks twice gets the same. `known` ones, of a Hallux that serves, are not read at all. */
export function createReader(readFile: (path: string) => string, known?: Contents): Reader {
  const read = (path: string) => {
    const found = known && statSync(path, { throwIfNoEntry: false });
    if (found !== undefined && isStream(found)) {
      throw new Error("a pipe or a device is read at start only");
    }
    mustBeShort(found);
    return readFile(path);
  };
  const contents = new Map<string, Content>();

  return {
    contents,
    readFile(path) {
      const content = contents.get(path) ?? known?.get(path) ?? contentOf(() => read(path));
      contents.set(path, content);
      if ("fault" in content) {
        throw content.fault;
      }
      return content.text;
    },
  };
}

/**
 * Reads these files again, one after another: where a file system hangs, one thread hangs with it, and not all that look up names and
 * read files for the rest of the process.
 */
export async function readAgain(before: Contents): Promise<Contents> {
  const contents = new Map<string, Content>();
  for (const [path, content] of before) {
    contents.set(path, await again(path, content));
  }
  return contents;
}

/** What was a pipe (`-r <(…)`) has given all that it has. */
async function again(path: string, before: Content): Promise<Content> {
  try {
    const found = await stat(path);
    if (isStream(found)) {
      return before;
    }
    mustBeShort(found);
    return { text: await readUtf8(path) };
  } catch (fault) {
    return { fault };
  }
}

/** Another one where any file holds something else, is there or is not there, or can no longer be read. */
export function digestOf(contents: Contents): string {
  const sorted = [...contents].toSorted(([one], [other]) => (one < other ? -1 : 1));
  const parts = sorted.map(([path, content]) =>
    "text" in content ? [path, content.text] : [path, null, reasonOf(content.fault)],
  );
  return hash("sha256", JSON.stringify(parts));
}

/** It may keep whoever reads it waiting, or have no end. */
function isStream(found: Stats): boolean {
  return !found.isFile() && !found.isDirectory();
}

function mustBeShort(found: Stats | undefined): void {
  if (found !== undefined && found.size > maxBytes) {
    throw new Error(`it is ${found.size} bytes long; at most ${maxBytes} are read`);
  }
}

function contentOf(read: () => string): Content {
  try {
    return { text: read() };
  } catch (fault) {
    return { fault };
  }
}
