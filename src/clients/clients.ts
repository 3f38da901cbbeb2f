import type { Aws } from "./aws/port.ts";
import type { Gcp } from "./gcp/port.ts";
import type { Http } from "./http/port.ts";
import type { Kubernetes } from "./kubernetes/port.ts";
import type { Mailer } from "./mail/port.ts";
import type { ObjectStore } from "./object-store.ts";

/** The outside world, as catalogue entries see it. Each is made on first use. */
export interface Clients {
  readonly kubernetes: Kubernetes;
  readonly aws: Aws;
  readonly gcp: Gcp;
  readonly minio: ObjectStore;
  readonly http: Http;
  readonly mail: Mailer;
}

export type ClientName = keyof Clients;

/**
 * Two sets of the same ports. Those of a dry run ask the other side whether it would (`dryRun=All`, SelfSubjectAccessReview
 * for exec, Lambda's `DryRun`, whether a Google function or a bucket is there) and change nothing.
 */
export interface ClientSets {
  readonly real: Clients;
  readonly dryRun: Clients;
}
