import { setTimeout as pause } from "node:timers/promises";
import type { Playground, Seed } from "./index.ts";
import type { Status } from "./errors.ts";
import type { KubeObject } from "./wire.ts";

/** What the playground's own tests share. */
export interface Answer {
  readonly code: number;
  readonly text: string;
  readonly body: KubeObject & Status & { readonly items: readonly KubeObject[] };
}

/** One request with the playground's token; `type` is the body's media type. */
export async function ask(
  playground: Playground,
  request: string,
  body?: unknown,
  type = "application/json",
): Promise<Answer> {
  const [method = "GET", path = "/"] = request.split(" ");
  const response = await fetch(`${playground.url}${path}`, {
    method,
    headers: { Authorization: `Bearer ${playground.token}`, "Content-Type": type },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { code: response.status, text, body: isObject(text) ? JSON.parse(text) : undefined };
}

/** A log is plain text, a watch many objects. */
function isObject(body: string): boolean {
  return /^\{[^\n]*\}\n?$/.test(body);
}

export function podSeed(name: string, more: Partial<Seed["metadata"]> = {}, fields: object = {}): Seed {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "shop", ...more },
    spec: { containers: [{ name: "web", image: "nginx" }] },
    ...fields,
  };
}

export function deploymentSeed(name: string, replicas: number): Seed {
  const labels = { app: name };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "shop" },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "web", image: "nginx" }] } },
    },
  };
}

/** Asks until the answer will do; 25 seconds at most. */
export async function until(request: () => Promise<Answer>, enough: (answer: Answer) => boolean): Promise<Answer> {
  const deadline = Date.now() + 25_000;
  for (;;) {
    const answer = await request();
    if (enough(answer)) {
      return answer;
    }
    if (Date.now() > deadline) {
      throw new Error(`never came: ${answer.text.slice(0, 500)}`);
    }
    await pause(10);
  }
}
