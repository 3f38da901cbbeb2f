import { ActionError } from "../../src/catalogue/errors.ts";

/** How the policies of one kind are read and written. */
export interface Policies<P> {
  get(): Promise<P | undefined>;
  create(policy: P): Promise<void>;
  /** On condition that the policy is still the one read. */
  replace(policy: P): Promise<void>;
}

/** What is to be written, if anything, and what has happened then. */
export interface Decision<P, C> {
  readonly write?: P;
  readonly change: C;
}

/**
 * Sees to it that the policy is there as wanted. Several of us may work on it at the same moment, or somebody deletes it: whoever
 * comes second looks again at what the first has made of it, and decides again.
 */
export async function establish<P, C>(
  policies: Policies<P>,
  decide: (existing: P | undefined) => Decision<P, C>,
  attempts = 5,
): Promise<C> {
  const existing = await policies.get();
  const { write, change } = decide(existing);
  if (write === undefined) {
    return change;
  }
  try {
    await (existing === undefined ? policies.create(write) : policies.replace(write));
    return change;
  } catch (error) {
    if (attempts > 1 && isOutdated(error, existing)) {
      return establish(policies, decide, attempts - 1);
    }
    throw error;
  }
}

/** Whether the policy is not what it was when it was looked at. */
function isOutdated(error: unknown, existing: unknown): boolean {
  const code = error instanceof ActionError ? error.code : undefined;
  return code === "conflict" || (code === "not_found" && existing !== undefined);
}
