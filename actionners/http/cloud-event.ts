import type { FalcoEvent } from "../../src/events/event.ts";
import { subjectOf } from "../../src/events/target.ts";

/** What is called, as HTTP carries it. */
export interface Message {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** As Falcosidekick's CloudEvents output has them: what was made for that one understands these. */
const source = "https://falco.org";
const type = "falco.rule.output.v1";

/** Of CloudEvents 1.0. The id is the same in each call about the event. */
function attributesOf(event: FalcoEvent): Readonly<Record<string, string>> {
  const subject = subjectText(event);
  return {
    specversion: "1.0",
    id: event.id,
    source,
    type,
    ...(subject === undefined ? {} : { subject }),
    // As it came it may have digits without end, and headers of that length are refused.
    time: event.time.replace(/(\.\d{9})\d+/, "$1"),
  };
}

/** The attributes and the data in one JSON text. */
export function structured(event: FalcoEvent, data: object): Message {
  return {
    headers: { "content-type": "application/cloudevents+json; charset=utf-8" },
    body: JSON.stringify({ ...attributesOf(event), datacontenttype: "application/json", data }),
  };
}

/** The attributes in headers, the data as it is. */
export function binary(event: FalcoEvent, data: object): Message {
  const headers = Object.entries(attributesOf(event)).map(([name, value]) => [`ce-${name}`, headerValue(value)]);
  return {
    headers: { ...Object.fromEntries(headers), "content-type": "application/json" },
    body: JSON.stringify(data),
  };
}

/** The object in the cluster that the event is about: `namespaces/shop/pods/cart-1`. */
function subjectText(event: FalcoEvent): string | undefined {
  const target = subjectOf(event);
  switch (target.kind) {
    case "pod":
      return `namespaces/${target.namespace}/pods/${target.name}`;
    case "resource": {
      const namespace = target.namespace === undefined ? "" : `namespaces/${target.namespace}/`;
      return `${namespace}${target.resource}/${target.name}`;
    }
    case "none":
      return undefined;
  }
}

/** Of the HTTP binding, 3.1.3.2: what is not printable ASCII, and blanks, double quotes and percent signs, byte by byte. */
function headerValue(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[^!-~]+|["%]/gu, (characters) =>
      [...Buffer.from(characters)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
    );
}
