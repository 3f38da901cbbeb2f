import { chmod, copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { commonjs } from "./commonjs.ts";
import { diet } from "./diet.ts";
import { notices } from "./notices.ts";
import { oldestNode } from "./oldest-node.ts";
import { required } from "./required.ts";

/**
 * Bundles the command line: one small entry and chunks that load on demand (the program itself, the Kubernetes client, the cloud SDKs, mail, NATS,
 * pino-pretty), so that a command starts without what it does not use; and the ledger's thread, which is an entry of its own.
 * The directory is a package that needs no other one; what is in `maps/` stays here.
 * With `--failpoints` the steps stay in at which the crash suite ends the process.
 */
const { values } = parseArgs({
  options: { outdir: { type: "string", default: "dist" }, failpoints: { type: "boolean", default: false } },
});
const { outdir } = values;
const root = join(import.meta.dirname, "..");

const { outputFiles = [], metafile = { inputs: {}, outputs: {} } } = await build({
  absWorkingDir: root,
  entryPoints: { hallux: "scripts/entry.ts", "ledger-thread": "src/ledger/sqlite/thread.ts" },
  outdir: ".",
  write: false,
  metafile: true,
  chunkNames: "chunks/[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: `node${oldestNode}`,
  plugins: [diet, commonjs, required],
  // What is left out here is neither parsed nor kept in memory. Names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  // They are in THIRD-PARTY-NOTICES.
  legalComments: "none",
  sourcemap: "external",
  define: values.failpoints ? {} : { "globalThis.halluxFailpoint": "undefined" },
  // Packages in CommonJS ask for Node's own modules by require.
  banner: {
    js: 'import { createRequire as halluxRequire } from "node:module"; const require = halluxRequire(import.meta.url);',
  },
});

await rm(outdir, { recursive: true, force: true });
for (const { path, text } of outputFiles) {
  const name = path.slice(root.length + 1);
  await (name.endsWith(".map") ? put(join("maps", name), text) : put(name, ascii(text)));
}
await chmod(join(outdir, "hallux.js"), 0o755);
await put("maps/meta.json", JSON.stringify(metafile));
await put("THIRD-PARTY-NOTICES", await notices(metafile, root));
await put("package.json", await manifest());
for (const file of ["LICENSE", "README.md"]) {
  await copyFile(join(root, file), join(outdir, file));
}

/**
 * One letter beyond ASCII, and Node keeps the whole file in memory as UTF-16. esbuild has escaped those in strings; the others stand in
 * regular expressions.
 */
function ascii(code: string): string {
  return code.replace(/[^\0-\x7f]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

async function put(name: string, contents: string): Promise<void> {
  const path = join(outdir, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, contents);
}

/** Of the package that `npm pack ./dist` makes: everything is in the bundle, so that it depends on nothing. */
async function manifest(): Promise<string> {
  const { name, version, description, license } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const engines = { node: `>=${oldestNode}` };
  const files = ["hallux.js", "ledger-thread.js", "chunks", "THIRD-PARTY-NOTICES"];
  const slim = { name, version, description, license, type: "module", bin: { hallux: "hallux.js" }, files, engines };
  return `${JSON.stringify(slim, undefined, 2)}\n`;
}
