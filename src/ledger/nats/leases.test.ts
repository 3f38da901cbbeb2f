import { setTimeout as sleep } from "node:timers/promises";
import type { StoredMsg } from "@nats-io/jetstream";
import { expect, it, onTestFinished } from "vitest";
import { createLeases } from "./leases.ts";
import type { Link } from "./link.ts";
import { namesFor } from "./names.ts";
import type { Session } from "./session.ts";

const leaseMs = 400;

it("a lease is not outlived because its holder's message looks like that of another in a stream that was made anew", async () => {
  let holder = "they";
  const header = () => new Headers({ Hallux: JSON.stringify({ key: "a", holder, beat: 1 }) });
  const link = {
    last: async () => ({ seq: 1, header: header() }) as unknown as StoredMsg,
    publish: async () => 2,
  } as unknown as Link;
  const session = { onUp: () => undefined } as unknown as Session;
  const leases = createLeases({ session, link, names: namesFor("t"), holder: "we", leaseMs });
  onTestFinished(() => leases.close());
  await leases.take("a");
  await sleep(leaseMs + 50);

  holder = "others";
  const taken = await leases.take("a");

  expect(taken).toBeUndefined();
});
