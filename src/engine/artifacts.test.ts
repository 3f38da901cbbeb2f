import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { defineOutput } from "../catalogue/catalogue.ts";
import type { Clients } from "../clients/clients.ts";
import { artifactKey, createStore } from "./artifacts.ts";

const at = new Date("2026-11-21T08:15:00.123Z");
const target = { kind: "pod", namespace: "shop", name: "cart-1", uid: undefined } as const;

describe("artifact keys", () => {
  it("tell when, where and what", () => {
    expect(artifactKey(at, target, "/etc/passwd")).toBe("2026-11-21T08-15-00Z_shop_cart-1__etc_passwd");
  });

  it.each(["../../etc/cron.d/x", "a\u0000b", "$(id)", "a\nb", "a b", "ü"])(
    "keep %j from being anything but a name",
    (name) => {
      expect(artifactKey(at, target, name)).toMatch(/^[A-Za-z0-9._-]+$/);
    },
  );
});

describe("storing an artifact", () => {
  async function* body() {
    yield Buffer.from("hello ");
    yield Buffer.from("world");
  }

  const store = (dryRun: boolean, stored: string[]) => {
    const output = defineOutput({
      id: "test:memory",
      summary: "",
      params: {},
      settings: {},
      uses: [],
      rbac: [],
      examples: [],
      async store({ artifact }) {
        stored.push(Buffer.concat(await Array.fromAsync(artifact.body)).toString());
        return { location: `memory/${artifact.key}` };
      },
    });
    const clients = {} as Clients;
    const signal = AbortSignal.timeout(10_000);
    return createStore({ output, parameters: {}, settings: {}, target, clients, dryRun, signal, clock: () => at });
  };

  it("measures and hashes what streams through", async () => {
    const stored: string[] = [];

    const artifact = await store(false, stored)({ name: "log", contentType: "text/plain", body: body() });

    expect(stored).toEqual(["hello world"]);
    expect(artifact).toEqual({
      output: "test:memory",
      location: "memory/2026-11-21T08-15-00Z_shop_cart-1_log",
      bytes: 11,
      sha256: createHash("sha256").update("hello world").digest("hex"),
    });
  });

  it("stores nothing in a dry run, but reads it all", async () => {
    const stored: string[] = [];

    const artifact = await store(true, stored)({ name: "log", contentType: "text/plain", body: body() });

    expect(stored).toEqual([]);
    expect(artifact.bytes).toBe(11);
  });
});
