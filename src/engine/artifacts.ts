import { createHash } from "node:crypto";
import type { Artifact, Output, Store } from "../catalogue/catalogue.ts";
import type { Clients } from "../clients/clients.ts";
import type { Target } from "../events/target.ts";

export interface StoreOptions {
  readonly output: Output;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly target: Target;
  readonly clients: Clients;
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  readonly clock: () => Date;
}

/** What an action stores its artifact with: names it, counts and hashes what streams through. A dry run stores nothing. */
export function createStore(options: StoreOptions): Store {
  const { output, parameters, settings, target, clients, dryRun, signal, clock } = options;

  return async ({ name, contentType, body }) => {
    const hash = createHash("sha256");
    let bytes = 0;
    const measured = tap(body, (chunk) => {
      hash.update(chunk);
      bytes += chunk.byteLength;
    });
    const artifact: Artifact = { key: artifactKey(clock(), target, name), contentType, body: measured };

    const { location } = dryRun
      ? await drain(measured)
      : await output.store({ artifact, params: parameters, settings, clients, signal });

    return { output: output.id, location, bytes, sha256: hash.digest("hex") };
  };
}

/** `2026-11-21T08-15-00Z_shop_cart-1_log`: nothing in it can leave a directory or a prefix. */
export function artifactKey(at: Date, target: Target, name: string): string {
  const time = `${at.toISOString().slice(0, 19).replaceAll(":", "-")}Z`;
  const place = target.kind === "none" ? [] : [target.namespace ?? "", target.name];
  return [time, ...place, name.slice(-128)].map((part) => part.replaceAll(/[^A-Za-z0-9._-]/g, "_")).join("_");
}

async function* tap(body: AsyncIterable<Uint8Array>, see: (chunk: Uint8Array) => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    see(chunk);
    yield chunk;
  }
}

async function drain(body: AsyncIterable<Uint8Array>): Promise<{ location: string }> {
  for await (const _ of body) {
    // Read to the end, so that the dry run finds out whether it can be read and how long it is.
  }
  return { location: "" };
}
