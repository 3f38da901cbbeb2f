import { isDeepStrictEqual } from "node:util";
import { Secret } from "./secret.ts";

/** Of settings: plain values, lists and maps, and secrets by what they hold (`isDeepStrictEqual` takes any two for equal). */
export function isSame(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(revealed(one), revealed(other));
}

function revealed(value: unknown): unknown {
  if (value instanceof Secret) {
    return { secret: value.reveal() };
  }
  if (Array.isArray(value)) {
    return value.map(revealed);
  }
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, revealed(entry)]))
    : value;
}
