import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";

const name = "commonjs";

/** What `await import()` gives of CommonJS has, in the bundle too, the names that Node finds in it: esbuild leaves it only `default`. */
export const commonjs: Plugin = {
  name,
  setup({ onResolve, onLoad, resolve }) {
    onResolve({ filter: /^[^./]/ }, async ({ path, kind, importer, resolveDir, pluginData }) => {
      if (kind !== "dynamic-import" || pluginData === name) {
        return undefined;
      }
      const found = await resolve(path, { kind, importer, resolveDir, pluginData: name });
      const isFile = found.namespace === "file" && !found.external;
      return isFile && (await isCommonjs(found.path)) ? { path, namespace: name, pluginData: found.path } : found;
    });

    onLoad({ filter: /.*/, namespace: name }, async ({ pluginData: path }) => ({
      contents: [
        `const whole = require(${JSON.stringify(path)});`,
        "export default whole;",
        `export const { ${(await namesIn(path)).join(", ")} } = whole;`,
      ].join("\n"),
      resolveDir: dirname(path),
    }));
  },
};

async function isCommonjs(path: string): Promise<boolean> {
  const { metafile } = await build({ entryPoints: [path], outdir: ".", write: false, metafile: true });
  return Object.values(metafile.inputs).some(({ format }) => format !== "esm");
}

async function namesIn(path: string): Promise<readonly string[]> {
  const names = Object.keys(await import(pathToFileURL(path).href));
  return names.filter((one) => one !== "default" && one !== "module.exports");
}
