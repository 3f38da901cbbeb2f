import { chmod, rm } from "node:fs/promises";
import { build } from "esbuild";

/**
 * Bundles the command line into dist/: one small entry and chunks that load on demand (the Kubernetes client, the AWS SDK,
 * pino-pretty), so that a command starts without what it does not use.
 */
await rm("dist", { recursive: true, force: true });
await build({
  entryPoints: { hallux: "src/main.ts" },
  outdir: "dist",
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
  // Packages in CommonJS ask for Node's own modules by require.
  banner: {
    js: 'import { createRequire as halluxRequire } from "node:module"; const require = halluxRequire(import.meta.url);',
  },
});
await chmod("dist/hallux.js", 0o755);
