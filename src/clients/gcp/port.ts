import type { ObjectStore } from "../object-store.ts";

/** What Hallux asks of Google Cloud; its object store is Cloud Storage. Calls throw `ActionError`. */
export interface Gcp extends ObjectStore {
  /** With an ID token, which says who calls. Rejects where the function answers anything but 2xx. */
  callFunction(call: FunctionCall, signal: AbortSignal): Promise<FunctionAnswer>;
}

export interface FunctionCall {
  /** `isolate`, or `projects/shop/locations/europe-west1/functions/isolate`. */
  readonly name: string;
  /** Where its name does not say: `us-central1`. */
  readonly location: string;
  /** JSON. */
  readonly payload: string;
  /** For the function to answer; undefined for as long as the signal lets it. */
  readonly timeoutMs: number | undefined;
}

export interface FunctionAnswer {
  readonly status: number;
  /** The start of what the function answered, at most 16 KiB. */
  readonly body: string;
}
