import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Metafile } from "esbuild";

interface Package {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}

/** Where the packages lie of which something is in the bundle, relative to the root, sorted. */
export function bundledPackages({ outputs }: Pick<Metafile, "outputs">): readonly string[] {
  const paths = Object.values(outputs).flatMap(({ inputs }) => Object.keys(inputs));
  const directories = paths.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path) ?? []);
  return [...new Set(directories)].sort();
}

/** What the licences of bundled packages ask to be passed on: name, licence and its text, one after another. */
export async function notices(metafile: Pick<Metafile, "outputs">, root: string): Promise<string> {
  const packages = bundledPackages(metafile);
  const sections = await Promise.all(packages.map((directory) => sectionOf(join(root, directory))));
  return `Hallux contains the following packages, in whole or in part.\n\n${[...new Set(sections)].join("\n")}`;
}

async function sectionOf(directory: string): Promise<string> {
  const { name, version, license } = JSON.parse(await readFile(join(directory, "package.json"), "utf8")) as Package;
  const files = (await readdir(directory)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file)).sort();
  if (license === undefined && files.length === 0) {
    throw new Error(`${name} ${version} names no licence: it cannot be passed on`);
  }
  const texts = await Promise.all(files.map((file) => readFile(join(directory, file), "utf8")));
  const heading = `${name} ${version}${license === undefined ? "" : ` (${license})`}`;
  return [`${"-".repeat(80)}\n${heading}\n`, ...texts.map((text) => `${text.trim()}\n`)].join("\n");
}
