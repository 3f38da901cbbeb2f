import type { JsonObject, JsonValue } from "./json.ts";
import type { Priority } from "./priority.ts";

/** `output_fields`: prototype-free and frozen. */
export type OutputFields = JsonObject;

/** The source of events that tell of Hallux's own responses (notifier `falcosidekick`). Only rules that ask for it match them. */
export const ownSource = "hallux";

/** What Falco detected, as it sent it; deeply frozen. */
export interface FalcoEvent {
  /** Ours, unique to this receipt. */
  readonly id: string;
  /** Falcosidekick's, the same in each redelivery. Falco itself sends none. */
  readonly uuid: string | undefined;
  readonly rule: string;
  readonly priority: Priority;
  /** `syscall` where the sender wrote `syscalls` or nothing. */
  readonly source: string;
  readonly hostname: string | undefined;
  readonly output: string | undefined;
  readonly tags: readonly string[];
  readonly fields: OutputFields;
  /** RFC 3339: the time sent, or `receivedAt` where that is absent or unusable (`sent.time` keeps what came). */
  readonly time: string;
  /** RFC 3339, by this machine's clock. */
  readonly receivedAt: string;
  /** Every top-level key as it came, those unknown to us too. */
  readonly sent: JsonObject;
  /** The JSON it was decoded from: with `id` and `receivedAt` it gives the same event again. */
  readonly text: string;
}

/** The field's value, or undefined where Falco does not know it: absent, null, empty or `<NA>`. */
export function fieldOf(event: FalcoEvent, name: string): Exclude<JsonValue, null> | undefined {
  const value = event.fields[name];
  return value === null || value === "" || value === "<NA>" ? undefined : value;
}
