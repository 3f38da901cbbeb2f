import type { Plugin } from "esbuild";

/**
 * Packages whose ES modules ask for others by `createRequire`, which a bundle cannot carry: of these the CommonJS is bundled, where
 * it can see what they ask for.
 */
const packages = /^@opentelemetry\/otlp-grpc-exporter-base$/;

export const required: Plugin = {
  name: "required",
  setup({ onResolve, resolve }) {
    onResolve({ filter: packages }, ({ path, kind, resolveDir }) =>
      kind === "require-call" ? undefined : resolve(path, { kind: "require-call", resolveDir }),
    );
  },
};
