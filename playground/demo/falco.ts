import { readFile } from "node:fs/promises";
import type { Pod } from "../wire.ts";

/** What Falco saw; the files hold events as Falco and Falcosidekick send them. */
export type Attack = "sensitive-file" | "reverse-shell" | "foreign-binary";

/** The event as if it had just happened in the pod. */
export async function eventOf(attack: Attack, { metadata, spec }: Pod): Promise<string> {
  const template = await readFile(new URL(`fixtures/${attack}.json`, import.meta.url), "utf8");
  const now = new Date();
  const nanoseconds = `${BigInt(now.getTime()) * 1_000_000n + 123_457n}`;
  const values: Readonly<Record<string, string>> = {
    uuid: crypto.randomUUID(),
    node: spec.nodeName ?? "",
    namespace: metadata.namespace ?? "",
    pod: metadata.name,
    nanoseconds,
    time: now.toISOString().replace("Z", "123457Z"),
    clock: now.toISOString().slice(11, -1).concat("123457"),
  };
  return template.replace(/<([a-z]+)>/g, (placeholder, name: string) => values[name] ?? placeholder);
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** As Falco's http_output and Falcosidekick do it. */
export async function send(url: string, event: string): Promise<Answer> {
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: event });
  return { status: response.status, body: await response.text() };
}
