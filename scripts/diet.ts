import { readFile } from "node:fs/promises";
import type { OnLoadResult, OnResolveArgs, Plugin } from "esbuild";

/** By file extension: what the pages of a server can be. */
const servedExtensions = ["html", "css", "js", "json", "map", "txt", "yaml", "svg", "png", "ico", "woff2", "wasm"];

/**
 * Leaves out what Hallux would load at start and never use: a quarter of the time until it listens, and 20 MiB of memory.
 * - An `import` of node:http reads all that it exports, and thereby loads the WebSocket and fetch of Node; `require` does not.
 * - express makes all its body parsers ready, with the tables of 100 encodings. The intake reads its bodies itself.
 * - mime-db lists 2500 types. Express needs those of pages.
 */
export const diet: Plugin = {
  name: "diet",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?https?$/ }, byRequire);
    onLoad({ filter: /.*/, namespace: "by-require" }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)})`,
    }));

    onResolve({ filter: /^body-parser$/ }, ({ path }) => ({ path, namespace: "left-out" }));
    onLoad({ filter: /.*/, namespace: "left-out" }, () => ({ contents: "module.exports = {}" }));

    onLoad({ filter: /\/mime-db\/db\.json$/ }, ({ path }) => servedTypes(path));
  },
};

function byRequire({ kind, path }: OnResolveArgs) {
  return kind === "import-statement" ? { path, namespace: "by-require" } : undefined;
}

async function servedTypes(path: string): Promise<OnLoadResult> {
  const all = JSON.parse(await readFile(path, "utf8")) as Record<string, { readonly extensions?: readonly string[] }>;
  const served = Object.entries(all).filter(([, { extensions = [] }]) =>
    extensions.some((extension) => servedExtensions.includes(extension)),
  );
  return { contents: JSON.stringify(Object.fromEntries(served)), loader: "json" };
}
