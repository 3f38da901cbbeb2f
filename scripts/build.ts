import { chmod, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "esbuild";

/**
 * Bundles the command line: one small entry and chunks that load on demand (the Kubernetes client, the AWS SDK, pino-pretty), so
 * that a command starts without what it does not use; and the ledger's thread, which is an entry of its own.
 * With `--failpoints` the steps stay in at which the crash suite ends the process.
 */
const { values } = parseArgs({
  options: { outdir: { type: "string", default: "dist" }, failpoints: { type: "boolean", default: false } },
});

await rm(values.outdir, { recursive: true, force: true });
await build({
  entryPoints: { hallux: "src/main.ts", "ledger-thread": "src/ledger/sqlite/thread.ts" },
  outdir: values.outdir,
  chunkNames: "chunks/[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node24",
  // What is left out here is neither parsed nor kept in memory. Names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: true,
  define: values.failpoints ? {} : { "globalThis.halluxFailpoint": "undefined" },
  // Packages in CommonJS ask for Node's own modules by require.
  banner: {
    js: 'import { createRequire as halluxRequire } from "node:module"; const require = halluxRequire(import.meta.url);',
  },
});
await chmod(join(values.outdir, "hallux.js"), 0o755);
