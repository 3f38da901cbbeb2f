import type { Store } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";

/** The loader of rules sees to it that an action that requires an output has one. */
export function storeOf(store: Store | undefined): Store {
  if (store === undefined) {
    throw new ActionError("invalid", "it needs an output to store in");
  }
  return store;
}
