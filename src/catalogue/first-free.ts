import { ActionError } from "./errors.ts";

const maxNamesakes = 100;

/** For what must never overwrite: tries the name, then the name with `-2`, `-3` …, until `take` has one (not undefined). */
export async function firstFree<T>(name: string, take: (name: string) => Promise<T | undefined>): Promise<T> {
  for (let number = 1; number <= maxNamesakes; number += 1) {
    const taken = await take(number === 1 ? name : `${name}-${number}`);
    if (taken !== undefined) {
      return taken;
    }
  }
  throw new ActionError("conflict", `${name} exists, and so do ${maxNamesakes - 1} of the same name with a number`);
}
