import type { Target } from "../events/target.ts";
import type { ErrorCode } from "./errors.ts";

export interface Digest {
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** Where an artifact (a log, a capture, a file) went. */
export interface StoredArtifact extends Digest {
  /** `local:file`, `aws:s3` … */
  readonly output: string;
  /** A path or URL a person can open. */
  readonly location: string;
}

/** What an action did. */
export interface Success {
  readonly status: "success";
  /** One sentence in the past tense: `pod labelled`. */
  readonly summary: string;
  /** The objects changed or read, by kind: `{ pod: "cart-1", namespace: "shop", node: "node-1" }`. */
  readonly objects: Readonly<Record<string, string>>;
  /** The target as it was found, where the action learnt its UID. */
  readonly target?: Target;
  /** What the action read (a log, a command's output), at most 16 KiB; longer goes to an output. */
  readonly text?: string;
  readonly artifact?: StoredArtifact;
  /** A command that takes it back: `kubectl label pod cart-1 -n shop suspicious-`. */
  readonly undo?: string;
}

/** There was nothing to do, or a parameter says to leave this target alone. */
export interface Ignored {
  readonly status: "ignored";
  readonly reason: string;
}

export type Result = Success | Ignored;

export function success(summary: string, details: Omit<Success, "status" | "summary">): Success {
  return { status: "success", summary, ...details };
}

export function ignored(reason: string): Ignored {
  return { status: "ignored", reason };
}

export const outcomeStatuses = ["success", "ignored", "failure", "refused", "dry_run", "expired"] as const;
export type OutcomeStatus = (typeof outcomeStatuses)[number];

/** How one action ended. */
export interface Outcome {
  readonly status: OutcomeStatus;
  /** For people: the summary, the reason or the error's message. */
  readonly message: string;
  /** Why it failed, or would fail (`dry_run`). */
  readonly code: ErrorCode | undefined;
  /** What a dry run found: how the action would have ended. */
  readonly would: "success" | "ignored" | "failure" | "refused" | undefined;
  readonly target: Target | undefined;
  readonly objects: Readonly<Record<string, string>>;
  readonly text: string | undefined;
  readonly artifact: StoredArtifact | undefined;
  readonly undo: string | undefined;
  readonly durationMs: number;
}
