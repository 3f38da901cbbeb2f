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

  it("are no longer than a file name may be, and keep the time and the name's end", () => {
    const longest = { ...target, namespace: "n".repeat(63), name: "p".repeat(253) };

    const key = artifactKey(at, longest, "/var/log/auth.log");

    expect(key).toHaveLength(240);
    expect(key).toMatch(/^2026-11-21T08-15-00Z_n+_p+__var_log_auth\.log$/);
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
      uses: [],
      rbac: [],
      examples: [],
      async store({ artifact, dryRun }) {
        const content = Buffer.concat(await Array.fromAsync(artifact.body)).toString();
        stored.push(...(dryRun ? [] : [content]));
        return { location: `memory/${artifact.key}` };
      },
    });
    const clients = {} as Clients;
    const signal = AbortSignal.timeout(10_000);
    return createStore({ output, parameters: {}, target, clients, dryRun, signal, clock: () => at });
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

  it("tells the output of a dry run, and names no place of what is not there", async () => {
    const stored: string[] = [];

    const artifact = await store(true, stored)({ name: "log", contentType: "text/plain", body: body() });

    expect(stored).toEqual([]);
    expect(artifact).toMatchObject({ location: "", bytes: 11 });
  });
});
