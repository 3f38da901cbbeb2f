import { hash, timingSafeEqual } from "node:crypto";

const mask = "[secret]";

/** A value that prints as a mask wherever it ends up: logs, JSON, errors, the console. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return mask;
  }

  toJSON(): string {
    return mask;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return mask;
  }
}

/** The text without who logs in by the URLs in it, and by `user:password@host`. */
export function withoutLogins(text: string): string {
  return text.replace(/:\/\/\S*@/g, `://${mask}@`).replace(/(?<=^|[\s,])[^\s@:/]+:(?!\/\/)\S+@/g, `${mask}@`);
}

/** For `JSON.stringify`: each text in it without logins. */
export function maskLogins(_key: string, value: unknown): unknown {
  return typeof value === "string" ? withoutLogins(value) : value;
}

/** Takes the same time wherever the texts differ. Nothing given proves nothing, not even to an empty secret. */
export function equals(secret: string): (given: string) => boolean {
  const expected = hash("sha256", secret, "buffer");
  return (given) => given !== "" && timingSafeEqual(hash("sha256", given, "buffer"), expected);
}
