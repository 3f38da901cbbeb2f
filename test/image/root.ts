import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, cpSync, globSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Copy, Image } from "./dockerfile.ts";

/** Of Node's libraries, those that the base image (distroless cc) has. */
const baseLibraries = /^(ld-linux.*|lib(c|dl|m|pthread|rt|gcc_s|stdc\+\+))\.so/;

/** What a runtime mounts into every container; here, where to. */
const mountPoints = ["proc", "dev/null", "dev/zero", "dev/random", "dev/urandom"];

/**
 * Fills an empty directory with what the image holds: what the Dockerfile copies, taken from the bundle and from this machine's
 * Node; for the base image, the libraries that this Node asks for. Throws where it asks for one that would not be there.
 */
export function fillRoot(root: string, image: Image, { bundle }: { readonly bundle: string }): void {
  for (const copy of image.copies) {
    copy.sources.forEach((source) => void copyInto(root, copy, placesOf(copy.from, source, bundle)));
  }
  const copied = image.copies.flatMap(({ sources }) => sources.map((source) => basename(source).replace("*", "")));
  for (const library of librariesOf(process.execPath)) {
    if (baseLibraries.test(basename(library))) {
      put(library, join(root, library));
    } else if (!copied.includes(basename(library))) {
      throw new Error(`node needs ${library}, which neither the base image has nor the Dockerfile copies`);
    }
  }
  for (const point of mountPoints) {
    makePoint(join(root, point));
  }
}

/** Where on this machine lies what a stage of the Dockerfile would have; `undefined` stands for an empty directory. */
function placesOf(stage: string, source: string, bundle: string): readonly (string | undefined)[] {
  if (stage === "node") {
    return nodePlaces(source);
  }
  if (stage === "build" && source === "/state/") {
    return [undefined];
  }
  if (stage === "build" && source.startsWith("/build/dist/")) {
    return [join(bundle, source.slice("/build/dist/".length))];
  }
  throw new Error(`the Dockerfile copies ${source} from ${stage}, which test/image cannot follow`);
}

function nodePlaces(source: string): readonly string[] {
  switch (source) {
    case "/usr/local/bin/node":
      return [process.execPath];
    case "/usr/local/LICENSE":
      // The Node of npm comes without it: any file stands for it.
      return [join(import.meta.dirname, "../../LICENSE")];
    default:
      return globSync(source);
  }
}

function copyInto(root: string, copy: Copy, places: readonly (string | undefined)[]): void {
  for (const place of places) {
    const target = join(root, targetOf(copy.to, place));
    if (place === undefined) {
      mkdirSync(target, { recursive: true });
    } else {
      put(place, target);
    }
    own(target, copy);
  }
}

/** A file goes into a directory, a directory's content becomes it. */
function targetOf(to: string, place: string | undefined): string {
  const isFile = place !== undefined && statSync(place).isFile();
  return isFile && to.endsWith("/") ? join(to, basename(place)) : to;
}

function own(target: string, { chown, mode }: Copy): void {
  if (mode !== undefined) {
    chmodSync(target, mode);
  }
  if (chown !== undefined) {
    const [uid = 0, gid = 0] = chown.split(":").map(Number);
    chownSync(target, uid, gid);
  }
}

function put(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, { recursive: true, dereference: true });
}

function makePoint(path: string): void {
  mkdirSync(path.includes("/dev/") ? dirname(path) : path, { recursive: true });
  if (path.includes("/dev/")) {
    writeFileSync(path, "");
  }
}

function librariesOf(program: string): readonly string[] {
  const lines = execFileSync("ldd", [program], { encoding: "utf8" }).split("\n");
  return lines.flatMap((line) => /(?:=>\s*|^\s*)(\/\S+)/.exec(line)?.[1] ?? []);
}
