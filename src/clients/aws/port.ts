import type { ObjectStore } from "../object-store.ts";

/** What Hallux asks of AWS; its object store is S3. Calls throw `ActionError`. */
export interface Aws extends ObjectStore {
  invokeLambda(invocation: LambdaInvocation, signal: AbortSignal): Promise<LambdaAnswer>;
  /** A path of the instance metadata service (IMDSv2): `meta-data/placement/region`. Undefined outside AWS. */
  instanceMetadata(path: string, signal: AbortSignal): Promise<string | undefined>;
}

export interface LambdaInvocation {
  readonly functionName: string;
  /** An alias or a version; undefined where the function's name says. */
  readonly qualifier: string | undefined;
  readonly type: "RequestResponse" | "Event" | "DryRun";
  /** JSON, at most 6 MiB (1 MiB for `Event`). */
  readonly payload: string;
}

export interface LambdaAnswer {
  /** 200, 202 (Event) or 204 (DryRun). */
  readonly statusCode: number;
  /** Set where the function itself failed: `Handled`, `Unhandled`. */
  readonly functionError: string | undefined;
  /** The start of what the function answered, at most 16 KiB. */
  readonly payload: string;
}
