import type { Aws } from "./aws/port.ts";
import type { Kubernetes } from "./kubernetes/port.ts";

/** The outside world, as catalogue entries see it. Each is made on first use. */
export interface Clients {
  readonly kubernetes: Kubernetes;
  readonly aws: Aws;
}

export type ClientName = keyof Clients;

/**
 * Two sets of the same ports. Those of a dry run ask the other side whether it would (`dryRun=All`, SelfSubjectAccessReview
 * for exec, Lambda's `DryRun`) and change nothing.
 */
export interface ClientSets {
  readonly real: Clients;
  readonly dryRun: Clients;
}
