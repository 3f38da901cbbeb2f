import { lstat, readlink } from "node:fs/promises";
import { dirname, join, parse, resolve, sep } from "node:path";

/** By directory: the names in it that decide what some files are. */
export type Entries = ReadonlyMap<string, ReadonlySet<string>>;

/** As many as Linux follows. */
const maxLinks = 40;

/**
 * The files themselves; the links on the way to them, as a ConfigMap's `..data` is one; and for what is not there, what has to come
 * first. Never rejects.
 */
export async function entriesOf(files: Iterable<string>): Promise<Entries> {
  const entries = new Map<string, Set<string>>();
  for (const file of files) {
    let path: string | undefined = resolve(file);
    for (let links = 0; path !== undefined && links < maxLinks; links += 1) {
      path = await follow(path, (directory, name) => {
        entries.set(directory, (entries.get(directory) ?? new Set()).add(name));
      });
    }
  }
  return entries;
}

/** Down to the file, to what is missing, or to the first link: then the path on which it goes on. */
async function follow(path: string, note: (directory: string, name: string) => void): Promise<string | undefined> {
  const { root } = parse(path);
  const names = path.slice(root.length).split(sep);
  let directory = root;
  for (const [depth, name] of names.entries()) {
    const place = join(directory, name);
    const kind = await kindOf(place);
    if (kind.is !== "directory" || depth === names.length - 1) {
      note(directory, name);
    }
    if (kind.is !== "directory") {
      return kind.is === "link" ? resolve(dirname(place), kind.target, ...names.slice(depth + 1)) : undefined;
    }
    directory = place;
  }
  return undefined;
}

type Kind = { readonly is: "directory" | "end" } | { readonly is: "link"; readonly target: string };

async function kindOf(place: string): Promise<Kind> {
  try {
    const found = await lstat(place);
    if (found.isSymbolicLink()) {
      return { is: "link", target: await readlink(place) };
    }
    return { is: found.isDirectory() ? "directory" : "end" };
  } catch {
    return { is: "end" };
  }
}
