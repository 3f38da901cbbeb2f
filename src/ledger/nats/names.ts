import { hash } from "node:crypto";

/** A target's events belong to one of these, and a part to one replica at a time. More replicas than parts have nothing to do. */
export const parts = 32;

export interface Names {
  /** What waits, what is recorded of it until it is finished, and what is remembered of the finished. */
  readonly events: string;
  /** The newest state of each response, and the event it answers. */
  readonly responses: string;
  /** One message for each response, in the order in which they were planned. */
  readonly planned: string;
  /** Which events repeated which. */
  readonly repeats: string;
  /** Who works on what. */
  readonly leases: string;
  /** Subjects: the prefix, what it is, and whose. */
  subject(kind: SubjectKind, token: string): string;
}

export type SubjectKind = "event" | "record" | "mark" | "response" | "source" | "planned" | "repeat" | "lease";

export function namesFor(prefix: string): Names {
  const stream = (name: string) => `${prefix.toUpperCase()}_${name}`;
  return {
    events: stream("EVENTS"),
    responses: stream("RESPONSES"),
    planned: stream("PLANNED"),
    repeats: stream("REPEATS"),
    leases: stream("LEASES"),
    subject: (kind, token) => `${prefix}.${kind}.${token}`,
  };
}

/** What may stand in a subject, whatever the text: itself where it can, else its hash. */
export function tokenOf(text: string): string {
  return /^[\w-]{1,64}$/.test(text) ? text : digestOf(text);
}

/** 192 bits: nobody finds a second text with the same one. */
export function digestOf(text: string): string {
  return hash("sha256", text, "base64url").slice(0, 32);
}

export function partOf(text: string): number {
  return Number.parseInt(hash("sha256", text).slice(0, 8), 16) % parts;
}
