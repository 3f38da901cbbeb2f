import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Metafile } from "esbuild";
import manifest from "../package.json" with { type: "json" };
import { bundledPackages } from "./notices.ts";

interface Component {
  readonly name: string;
  readonly version: string;
  readonly "bom-ref": string;
}

interface Bom {
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
  readonly metadata: { readonly component: Component };
}

/**
 * Prints the software bill of materials (CycloneDX) of the bundle in `--outdir`: npm's own, of the packages that the bundle really
 * holds. `npm sbom --omit dev` would leave out those that a development tool needs as well.
 */
const { values } = parseArgs({ options: { outdir: { type: "string", default: "dist" } } });
const root = join(import.meta.dirname, "..");
const meta = join(values.outdir, "maps/meta.json");

if (existsSync(meta)) {
  const shipped = new Set(bundledPackages(JSON.parse(readFileSync(meta, "utf8")) as Metafile).map(nameAndVersion));
  process.stdout.write(`${JSON.stringify(only(shipped, wholeBom()), undefined, 2)}\n`);
} else {
  process.stderr.write(`there is no bundle in ${values.outdir}: npm run build makes it\n`);
  process.exitCode = 1;
}

function wholeBom(): Bom {
  const text = execFileSync("npm", ["sbom", "--sbom-format", "cyclonedx", "--sbom-type", "application"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return JSON.parse(text) as Bom;
}

function only(shipped: ReadonlySet<string>, bom: Bom): Bom {
  const components = bom.components
    .filter(({ name, version }) => shipped.has(`${name}@${version}`))
    // npm says "optional" or "excluded" of what development needs too: in the bundle, all are needed.
    .map((one) => ({ ...one, scope: "required", properties: [] }));
  // npm calls it by the name of the directory.
  const component = { ...bom.metadata.component, name: manifest.name };
  const refs = new Set([component, ...components].map((one) => one["bom-ref"]));
  const dependencies = bom.dependencies
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((on) => refs.has(on)) }));
  return { ...bom, metadata: { ...bom.metadata, component }, components, dependencies };
}

function nameAndVersion(directory: string): string {
  const { name, version } = JSON.parse(readFileSync(join(root, directory, "package.json"), "utf8"));
  return `${name}@${version}`;
}
