import type { Store } from "../../src/catalogue/catalogue.ts";

export interface Stored {
  readonly name: string;
  readonly contentType: string;
  readonly bytes: Buffer;
}

/** An output that keeps what it is given here; what failed before its end is not kept. */
export function memoryStore(): { readonly store: Store; readonly stored: readonly Stored[] } {
  const stored: Stored[] = [];
  const store: Store = async ({ name, contentType, body }) => {
    const bytes = Buffer.concat(await Array.fromAsync(body));
    stored.push({ name, contentType, bytes });
    return { output: "local:file", location: `/evidence/${name}`, bytes: bytes.length, sha256: "00" };
  };
  return { store, stored };
}
