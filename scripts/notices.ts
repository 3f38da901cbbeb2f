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
  const all = await readdir(directory);
  const files = all.filter((file) => /^((un)?licen[cs]e|copying|notice)/i.test(file)).sort();
  const readme = files.length === 0 ? all.filter((file) => /^readme/i.test(file)) : [];
  const texts = await Promise.all([...files, ...readme].map((file) => readFile(join(directory, file), "utf8")));
  const licences = files.length === 0 ? texts.flatMap(licenceIn) : texts;
  if (license === undefined && licences.length === 0) {
    throw new Error(`${name} ${version} names no licence: it cannot be passed on`);
  }
  const heading = `${name} ${version}${license === undefined ? "" : ` (${license})`}`;
  return [`${"-".repeat(80)}\n${heading}\n`, ...licences.map((text) => `${text.trim()}\n`)].join("\n");
}

/** What a README says below the heading of the licence, where that is its text and not only its name. */
function licenceIn(readme: string): readonly string[] {
  const [, section = ""] = /^(?:#+ *licen[cs]e\b.*|licen[cs]e\n-+)\n(.*)/ims.exec(readme) ?? [];
  return section.includes("Copyright") ? [section] : [];
}
