import { once } from "node:events";
import { request } from "node:https";
import { connect as secured } from "node:tls";
import { describe, expect, it, vi } from "vitest";
import { Secret } from "../schema/secret.ts";
import type { Intake } from "./intake.ts";
import { anEvent, dial, fixture, startIntake } from "./testing.ts";

const settings = { address: "127.0.0.1", port: 0 };

describe("a receiver that is configured anew", () => {
  it("goes by the new limits and proofs from the next request on", async () => {
    const { intake, url } = await startIntake();
    const send = async (token = "") =>
      (await fetch(url, { method: "POST", body: anEvent, headers: { authorization: `Bearer ${token}` } })).status;
    const before = await send();

    intake.configure({ ...settings, auth: { bearerToken: new Secret("t") } });
    const proofs = [await send(), await send("t")];
    intake.configure({ ...settings, maxBodyBytes: 10 });

    expect([before, ...proofs, await send()]).toEqual([202, 401, 202, 413]);
  });

  it("says where it is newly open to everyone, and not again", async () => {
    const open = { ...settings, address: "0.0.0.0" };
    const { intake, lines } = await startIntake({ settings: { auth: { bearerToken: new Secret("t") } } });

    intake.configure(open);
    intake.configure({ ...open, maxBodyBytes: 10 });

    expect(lines.filter(({ msg }) => String(msg).startsWith("no authentication is configured"))).toHaveLength(1);
  });

  describe("with other authorities", () => {
    const tls = {
      cert: fixture("server.pem"),
      key: new Secret(fixture("server-key.pem")),
      clientCa: fixture("ca.pem"),
    };
    const others = { ...settings, tls: { ...tls, clientCa: fixture("stranger.pem") } };
    const closing = /^connection: close\r$/im;
    const head = `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${anEvent.length}\r\n`;
    const rest = `\r\n${anEvent}`;

    /** A connection without its handshake, and what makes that. */
    async function connected(port: number, intake: Intake) {
      const socket = dial(port, "");
      await vi.waitFor(() => expect(intake.connections()).toBe(1), { timeout: 20_000 });
      const own = { cert: fixture("client.pem"), key: fixture("client-key.pem"), rejectUnauthorized: false };
      return () => secured({ ...own, socket });
    }

    it("ends a connection whose handshake they meet, with its first answer", async () => {
      const { intake, port } = await startIntake({ settings: { tls } });
      const secure = await connected(port, intake);

      intake.configure(others);
      const sender = secure();
      sender.write(head + rest);

      expect(String((await once(sender, "data"))[0])).toMatch(closing);
    });

    it("ends a connection whose request they meet half way, with its answer", async () => {
      const { intake, port } = await startIntake({ settings: { tls } });
      const sender = (await connected(port, intake))();
      sender.write(head + rest + head);
      const first = String((await once(sender, "data"))[0]);

      intake.configure(others);
      sender.write(rest);

      expect(first).not.toMatch(closing);
      expect(String((await once(sender, "data"))[0])).toMatch(closing);
    });
  });

  it("changes nothing where the certificates cannot be served with", async () => {
    const tls = { cert: fixture("server.pem"), key: new Secret(fixture("server-key.pem")) };
    const { intake, port } = await startIntake({ settings: { tls } });
    const auth = { bearerToken: new Secret("t") };

    expect(() => intake.configure({ ...settings, auth, tls: { ...tls, cert: "x" } })).toThrow();

    const status = await new Promise((resolve, reject) => {
      request({ port, host: "127.0.0.1", method: "POST", ca: fixture("ca.pem") }, (response) =>
        resolve(response.resume().statusCode),
      )
        .once("error", reject)
        .end(anEvent);
    });
    expect(status).toBe(202);
  });
});
