import { createHash } from "node:crypto";
import type { Artifact, Output, Store } from "../catalogue/catalogue.ts";
import type { Clients } from "../clients/clients.ts";
import type { Target } from "../events/target.ts";

export interface StoreOptions {
  readonly output: Output;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly target: Target;
  readonly clients: Clients;
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  readonly clock: () => Date;
}

/** What an action stores its artifact with: names it, counts and hashes what streams through. */
export function createStore(options: StoreOptions): Store {
  const { output, parameters, target, clients, dryRun, signal, clock } = options;

  return async ({ name, contentType, body }) => {
    const key = artifactKey(clock(), target, name);
    const artifact: Artifact = { key, contentType, ...measured(body) };
    const { location } = await output.store({ artifact, params: parameters, clients, dryRun, signal });
    return { output: output.id, location: dryRun ? "" : location, ...artifact.digest() };
  };
}

/** A file name has 255 bytes at most, on disks and on MinIO; outputs add a number and an ending like `.sha256`. */
const maxKeyLength = 240;

/** `2026-11-21T08-15-00Z_shop_cart-1_log`: nothing in it can leave a directory or a prefix. */
export function artifactKey(at: Date, target: Target, name: string): string {
  const time = `${at.toISOString().slice(0, 19).replaceAll(":", "-")}Z`;
  const place = target.kind === "none" ? [] : [target.namespace ?? "", target.name];
  return shortened([time, ...place, name].map((part) => part.replaceAll(/[^A-Za-z0-9._-]/g, "_")).join("_"));
}

/** It begins with the time, and ends with the name's end. */
function shortened(key: string): string {
  return key.length <= maxKeyLength ? key : `${key.slice(0, maxKeyLength / 2)}${key.slice(-maxKeyLength / 2)}`;
}

function measured(body: AsyncIterable<Uint8Array>): Pick<Artifact, "body" | "digest"> {
  const hash = createHash("sha256");
  let bytes = 0;

  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      hash.update(chunk);
      bytes += chunk.byteLength;
      yield chunk;
    }
  }

  return { body: counted(), digest: () => ({ bytes, sha256: hash.copy().digest("hex") }) };
}
