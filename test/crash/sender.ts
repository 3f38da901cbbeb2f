import { setTimeout as pause } from "node:timers/promises";
import { Client } from "undici";
import type { PlannedEvent, Post } from "./plan.ts";
import { type Answer, ruleOf } from "./verdict.ts";

/** What was sent so far, over all lives of the process. */
export interface Sent {
  /** Requests that were answered, however. */
  count: number;
  readonly events: Set<PlannedEvent>;
  /** By uuid. */
  readonly answers: Map<string, Answer[]>;
}

/** Sends them over so many connections that stay open, each one request after another, until all are sent or nobody answers. */
export async function send(
  url: string,
  { posts, connections }: { readonly posts: readonly Post[]; readonly connections: number },
  sent: Sent,
): Promise<void> {
  const queue = posts.values();
  await Promise.all(Array.from({ length: connections }, () => sendOver(url, queue, sent)));
}

async function sendOver(url: string, queue: Iterable<Post>, sent: Sent): Promise<void> {
  const connection = new Client(url);
  try {
    for (const { event, pauseMs } of queue) {
      await pause(pauseMs);
      sent.events.add(event);
      const { statusCode, body } = await connection.request({ path: "/", method: "POST", body: textOf(event) });
      const text = await body.text();
      sent.count += 1;
      if (statusCode < 300) {
        const { status } = JSON.parse(text) as { status: Answer };
        sent.answers.set(event.uuid, [...(sent.answers.get(event.uuid) ?? []), status]);
      } else if (statusCode !== 503) {
        throw new Refused(`${event.uuid} was answered ${statusCode}: ${text}`);
      }
    }
  } catch (error) {
    if (error instanceof Refused) {
      throw error;
    }
  } finally {
    await connection.destroy();
  }
}

/** Not what a process that is being killed may do. */
class Refused extends Error {}

function textOf({ uuid, deed, pod, mark, padding }: PlannedEvent): string {
  return JSON.stringify({
    uuid,
    rule: ruleOf[deed],
    priority: "Critical",
    source: "syscall",
    time: "2026-01-01T00:00:00.000000000Z",
    output: "x".repeat(padding),
    output_fields: { "k8s.ns.name": "shop", "k8s.pod.name": pod, "crash.mark": mark },
  });
}
