import { createHmac, timingSafeEqual } from "node:crypto";

/** The ledger's cursors on their way out and back. The ledger gets to see only what it gave out, from whichever process. */
export interface Cursors {
  seal(cursor: string): string;
  /** Undefined where it was not sealed with this key. */
  open(sealed: string): string | undefined;
}

export function createCursors(key: string): Cursors {
  const seal = (cursor: string) => {
    const mark = createHmac("sha256", key).update(`cursor ${cursor}`).digest("base64url");
    return `${Buffer.from(cursor).toString("base64url")}.${mark}`;
  };

  return {
    seal,
    open(sealed) {
      const [encoded = ""] = sealed.split(".");
      const cursor = Buffer.from(encoded, "base64url").toString("utf8");
      return isSame(sealed, seal(cursor)) ? cursor : undefined;
    },
  };
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
