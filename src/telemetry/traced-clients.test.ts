import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { recordingSpan } from "../../test/support/spans.ts";
import { ActionError } from "../catalogue/errors.ts";
import { tracedClients } from "./traced-clients.ts";

describe("tracedClients", () => {
  it("gives the very clients where nothing is traced", () => {
    const clients = { store: new Store() };

    expect(tracedClients(clients, undefined)).toBe(clients);
  });

  it("makes a client span of each call, named after it, which ends with the answer", async () => {
    const span = recordingSpan();
    const { store } = tracedClients({ store: new Store() }, span);

    const found = await store.find("key");

    expect(found).toBe("value of key");
    expect(span.recorded.inner).toMatchObject([
      { name: "store.find", start: { client: true, attributes: { "peer.service": "store" } }, ending: {} },
    ]);
  });

  it("is open until the answer is there", async () => {
    const span = recordingSpan();
    const { store } = tracedClients({ store: new Store() }, span);

    const asking = store.find("key");

    expect(span.recorded.inner[0]?.ending).toBeUndefined();
    await asking;
  });

  it("tells the status of an answer", async () => {
    const span = recordingSpan();
    const { store } = tracedClients({ store: new Store() }, span);

    await store.ask(503);

    expect(span.recorded.inner[0]?.ending?.attributes).toEqual({ "http.response.status_code": 503 });
  });

  it.each([
    ["rejects", "fail"],
    ["throws", "throwAtOnce"],
  ] as const)("tells the code of what %s, and hands the error on", async (_how, call) => {
    const span = recordingSpan();
    const { store } = tracedClients({ store: new Store() }, span);

    const calling = (async () => store[call](new ActionError("conflict", "somebody was faster")))();

    await expect(calling).rejects.toThrow("somebody was faster");
    expect(span.recorded.inner[0]?.ending).toEqual({ error: { code: "conflict", message: "somebody was faster" } });
  });

  it("keeps the words of errors that are none of ours to itself: they may hold a secret", async () => {
    const span = recordingSpan();
    const { store } = tracedClients({ store: new Store() }, span);

    await store.fail(new TypeError("Invalid URL: https://hooks.example/SECRET")).catch(() => undefined);

    expect(JSON.stringify(span.recorded)).not.toContain("SECRET");
    expect(span.recorded.inner[0]?.ending).toEqual({ error: { code: "internal" } });
  });

  it("never tells the arguments", async () => {
    const span = recordingSpan();
    const { store } = tracedClients({ store: new Store() }, span);

    await store.find("https://hooks.example/SECRET");

    expect(JSON.stringify(span.recorded)).not.toContain("SECRET");
  });

  it("ends the span of a stream when the stream has ended", async () => {
    const span = recordingSpan();
    const { store } = tracedClients({ store: new Store() }, span);

    const stream = store.stream();
    await turn();
    const before = span.recorded.inner[0]?.ending;
    for await (const _ of stream.stdout);
    await stream.ended;

    expect(before).toBeUndefined();
    expect(span.recorded.inner[0]?.ending).toBeDefined();
  });

  it("leaves what is no method as it is", () => {
    const { store } = tracedClients({ store: new Store() }, recordingSpan());

    expect(store.name).toBe("the store");
  });
});

/** Its methods need their `this`. */
class Store {
  readonly name = "the store";
  readonly #values = "value of";

  async find(key: string): Promise<string> {
    return `${this.#values} ${key}`;
  }

  async ask(status: number): Promise<{ readonly status: number }> {
    return { status };
  }

  async fail(error: Error): Promise<never> {
    throw error;
  }

  throwAtOnce(error: Error): never {
    throw error;
  }

  stream(): { readonly stdout: AsyncIterable<string>; readonly ended: Promise<number> } {
    const { promise: ended, resolve } = Promise.withResolvers<number>();
    const stdout = async function* () {
      yield "one";
      resolve(0);
    };
    return { stdout: stdout(), ended };
  }
}
