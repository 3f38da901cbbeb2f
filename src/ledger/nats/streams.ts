import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import type { Names } from "./names.ts";

export interface StreamOptions {
  readonly replicas: number;
  /** Bytes of accepted events not yet finished. */
  readonly backlogBytes: number;
  /** Of the history; the oldest responses go first. */
  readonly retention: { readonly ageMs: number; readonly bytes: number };
  readonly leaseMs: number;
}

type Wanted = Partial<StreamConfig> & { readonly name: string };

const mebibyte = 1_048_576;
/** What is recorded of unfinished events, and remembered of finished ones: it must find room when the backlog is full. */
const roomForRecords = 64 * mebibyte;
const maxRepeats = 100;
/** The server's own; it may not be longer than messages live. */
const duplicateWindowMs = 120_000;

/** Makes the streams that are not there, and adapts those that are. */
export async function prepareStreams(jsm: JetStreamManager, names: Names, options: StreamOptions): Promise<void> {
  await Promise.all(configsFor(names, options).map((wanted) => prepare(jsm, wanted)));
}

function configsFor(names: Names, { replicas, backlogBytes, retention, leaseMs }: StreamOptions): Wanted[] {
  const stream = (name: string, subjects: readonly string[], more: Partial<StreamConfig>): Wanted => ({
    name,
    subjects: [...subjects],
    num_replicas: replicas,
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    duplicate_window: nanos(Math.min(duplicateWindowMs, more.max_age ?? duplicateWindowMs)),
    max_msgs_per_subject: -1,
    ...more,
    max_age: nanos(more.max_age ?? 0),
  });
  const history = (share: number) => ({
    discard: DiscardPolicy.Old,
    max_age: retention.ageMs,
    max_bytes: Math.max(mebibyte, Math.floor(retention.bytes * share)),
  });
  const { subject } = names;

  return [
    stream(names.events, [subject("event", "*"), subject("record", "*"), subject("mark", "*")], {
      discard: DiscardPolicy.New,
      max_bytes: 2 * backlogBytes + roomForRecords,
      allow_rollup_hdrs: true,
    }),
    stream(names.responses, [subject("response", "*"), subject("source", "*")], {
      ...history(0.8),
      max_msgs_per_subject: 1,
    }),
    stream(names.planned, [subject("planned", "*")], history(0.1)),
    stream(names.repeats, [subject("repeat", "*")], {
      ...history(0.1),
      max_msgs_per_subject: maxRepeats,
      allow_direct: true,
    }),
    stream(names.leases, [subject("lease", "*")], {
      discard: DiscardPolicy.Old,
      max_age: leaseMs,
      max_msgs_per_subject: 1,
    }),
  ];
}

async function prepare(jsm: JetStreamManager, wanted: Wanted): Promise<void> {
  const found = await infoOf(jsm, wanted.name);
  if (found === undefined) {
    await jsm.streams.add(wanted);
    return;
  }
  const differs = Object.entries(wanted).some(
    ([key, value]) => JSON.stringify(found.config[key as keyof StreamConfig]) !== JSON.stringify(value),
  );
  if (differs) {
    await jsm.streams.update(wanted.name, wanted);
  }
}

async function infoOf(jsm: JetStreamManager, name: string): Promise<StreamInfo | undefined> {
  try {
    return await jsm.streams.info(name);
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound) {
      return undefined;
    }
    throw error;
  }
}
