import type { Kubernetes } from "../clients/kubernetes/port.ts";
import type { NeededPermission } from "./permissions.ts";

export interface MissingPermission extends NeededPermission {
  /** The words of the API server's authorizers. */
  readonly reason: string;
}

/** At the same time. */
const questions = 8;

/** Asks the API server for each of them. Rejects where it does not answer. */
export async function missingPermissions(
  needed: readonly NeededPermission[],
  { reviewAccess }: Pick<Kubernetes, "reviewAccess">,
  signal: AbortSignal,
): Promise<readonly MissingPermission[]> {
  const missing: MissingPermission[] = [];
  for (let start = 0; start < needed.length; start += questions) {
    const asked = needed.slice(start, start + questions);
    const reviews = await Promise.all(asked.map(async (one) => ({ one, ...(await reviewAccess(one, signal)) })));
    missing.push(...reviews.flatMap(({ one, allowed, reason }) => (allowed ? [] : [{ ...one, reason }])));
  }
  return missing;
}
