import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { createCatalogue, type Notification, type Notifier } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import type { Clients } from "../../src/clients/clients.ts";
import { createHttp } from "../../src/clients/http/adapter.ts";
import { createMailers } from "../../src/clients/mail/adapter.ts";
import { loadConfig } from "../../src/config/load.ts";
import { describeProblem } from "../../src/schema/problem.ts";
import type { Secret } from "../../src/schema/secret.ts";
import { eventually } from "./cluster.ts";
import { eventOf } from "./events.ts";
import { notificationOf } from "./notifications.ts";

/**
 * How the other side behaves: takes everything; says nothing; asks to wait; breaks, repeating all that it was sent; takes
 * everything by TLS with a certificate for 127.0.0.1 that `authority` has signed.
 */
export const manners = ["accepts", "hangs", "throttles", "fails", "encrypts"] as const;
export type Manner = (typeof manners)[number];

/** The other side, on 127.0.0.1. */
export interface NotifierPeer extends AsyncDisposable {
  readonly port: number;
  /** All that it was sent, readable: headers and bodies without their transfer encodings. */
  readonly received: readonly string[];
  /** Connections that are open. */
  connections(): number;
}

/** A notifier, and what it needs to be held to the contract. */
export interface NotifierSubject {
  readonly notifier: Notifier;
  peer(manner: Manner): Promise<NotifierPeer>;
  /** As a configuration says them: they lead to a peer at that port of 127.0.0.1. */
  settings(peer: { readonly port: number; readonly encrypted: boolean }): Readonly<Record<string, unknown>>;
  /** Among the settings. */
  readonly secrets: readonly string[];
  /** What does more than stand there, in what the peer was sent of an outcome with `hostile` in every text. */
  readonly harmIn: (received: string) => readonly string[] | null;
  /** What a peer that throttles says by `Retry-After: 7`, where the protocol has words for it. */
  readonly retryAfterMs: number | undefined;
}

const fixtures = new URL("../../src/intake/fixtures/", import.meta.url);

/** Of a server that encrypts, and the authority that signed it. */
export const certificates = {
  cert: readFileSync(new URL("server.pem", fixtures), "utf8"),
  key: readFileSync(new URL("server-key.pem", fixtures), "utf8"),
  authority: readFileSync(new URL("ca.pem", fixtures), "utf8"),
};

/** What an attacker may put into an event, in the hope that a notifier passes it on as it is. */
export const hostile = [
  "<script>alert(1)</script><img src=x onerror=alert(1)>",
  "<!channel> <!here> <@U012AB3CD> <https://evil.example|click here> @channel @everyone &amp; ```",
  "[click](https://evil.example) www.evil.example",
  "x\r\nBcc: victim@evil.example\r\nX-Evil: 1\r\n\r\n.\r\nMAIL FROM:<evil@evil.example>",
  "\u001b]0;owned\u0007\u001b[2J\u009b31m",
  "\u202egnp.exe\u2066\u2028\u2029\ufeff",
  "a\u0000b\ud800",
  "{{ event.fields }} {% include '/etc/passwd' %} \u0024{process.env} %s %o",
  '"},{"a":"',
].join("\n");

/** Holds a notifier to what every one of them promises. */
export function describeNotifier(subject: NotifierSubject): void {
  const { notifier, secrets } = subject;
  const { id } = notifier;

  describe(`notifier ${id}`, () => {
    it("tells of an outcome", async () => {
      await using peer = await subject.peer("accepts");

      await notify(subject, peer);

      expect(peer.received.join("\n")).toContain("kubernetes:label");
    });

    it("tells of an event of 1 MB", async () => {
      await using peer = await subject.peer("accepts");
      const fields = { "proc.cmdline": "A".repeat(1_000_000), "k8s.ns.name": "shop", "k8s.pod.name": "cart-1" };

      await notify(subject, peer, {
        notification: notificationOf({ event: eventOf({ fields, output: "B".repeat(10_000) }) }),
      });

      expect(peer.received.join("\n")).toContain("kubernetes:label");
    });

    it("passes hostile text on as nothing but text", async () => {
      await using peer = await subject.peer("accepts");

      await notify(subject, peer, { notification: hostileNotification() });

      expect(peer.received).toHaveLength(1);
      expect(peer.received.flatMap((one) => subject.harmIn(one) ?? [])).toEqual([]);
    });

    it("is unavailable where nobody listens", async () => {
      const peer = await subject.peer("accepts");
      await peer[Symbol.asyncDispose]();

      const error = await failureOf(notify(subject, peer));

      expect(error).toMatchObject({ code: "unavailable", notBegun: true });
      expect(error.message).toContain(`127.0.0.1:${peer.port}`);
      expect(shownOf(error)).not.toMatch(anyOf(secrets));
    });

    it("ends at its deadline where the other side hangs, and closes the connection", async () => {
      await using peer = await subject.peer("hangs");

      const error = await failureOf(notify(subject, peer, { signal: AbortSignal.timeout(300) }));

      expect(error.code).toBe("timeout");
      await eventually(async () => peer.connections() === 0 || undefined);
    });

    it("ends when it is cancelled, with the reason, and closes the connection", async () => {
      await using peer = await subject.peer("hangs");
      const cancelling = new AbortController();
      const reason = new ActionError("interrupted", "Hallux is stopping");

      const ended = failureOf(notify(subject, peer, { signal: cancelling.signal }));
      await eventually(async () => peer.connections() > 0 || undefined);
      cancelling.abort(reason);

      expect(await ended).toMatchObject({ code: "interrupted", message: reason.message });
      await eventually(async () => peer.connections() === 0 || undefined);
    });

    it("sends nothing where it was cancelled before", async () => {
      await using peer = await subject.peer("accepts");

      const error = await failureOf(notify(subject, peer, { signal: AbortSignal.abort() }));

      expect(error.code).toBe("cancelled");
      expect(peer.received).toEqual([]);
    });

    it("is throttled where the other side asks to wait", async () => {
      await using peer = await subject.peer("throttles");

      const error = await failureOf(notify(subject, peer));

      expect(error).toMatchObject({ code: "throttled", retryAfterMs: subject.retryAfterMs });
    });

    it("is unavailable where the other side fails, and shows no secret that it repeats", async () => {
      await using peer = await subject.peer("fails");

      const error = await failureOf(notify(subject, peer));

      expect(error.code).toBe("unavailable");
      expect(peer.received.length).toBeGreaterThan(0);
      expect(shownOf(error)).not.toMatch(anyOf(secrets));
    });

    it("sends nothing to a server whose certificate nobody known has signed", async () => {
      await using peer = await subject.peer("encrypts");

      const error = await failureOf(notify(subject, peer, { encrypted: true }));

      expect(error.code).toBe("unavailable");
      expect(error.message).toMatch(/certificate|CERT|SIGNATURE|ISSUER/);
      expect(peer.received).toEqual([]);
    });

    it("trusts the authority that it is given", async () => {
      await using peer = await subject.peer("encrypts");

      await notify(subject, peer, { encrypted: true, settings: { ca: certificates.authority } });

      expect(peer.received.join("\n")).toContain("kubernetes:label");
    });

    it.each(["environment", "file"])("takes its secrets from the %s and shows them nowhere", (from) => {
      const settings = subject.settings({ port: 1, encrypted: true });
      const names = Object.keys(settings).filter((name) => isSecretText(notifier, name));
      const others = Object.fromEntries(Object.entries(settings).filter(([name]) => !names.includes(name)));
      const variable = (name: string) => `NOTIFIERS_${id}_${name}${from === "file" ? "_FILE" : ""}`.toUpperCase();
      const env = Object.fromEntries(
        names.map((name) => [variable(name), from === "file" ? name : String(settings[name])]),
      );

      const read = configured(notifier, others, { env, readFile: (path) => `${settings[path]}\n` });

      expect(names.length).toBeGreaterThan(0);
      expect(names.map((name) => (read[name] as Secret).reveal())).toEqual(names.map((name) => settings[name]));
      expect(inspect(read, { depth: 5 }) + JSON.stringify(read)).not.toMatch(anyOf(secrets));
    });

    it.runIf("template" in notifier.settings)("tells by a template, or by the default where that fails", async () => {
      await using peer = await subject.peer("accepts");
      const templates = ['"from {{ rule.name }}"', "{% for i in (1..9999999) %}{{ i }}{% endfor %}"];

      for (const template of templates) {
        await notify(subject, peer, { settings: { template } });
      }

      const [first, second] = peer.received;
      expect(first).toContain("from Label shells");
      expect(second).toContain("kubernetes:label");
      expect(second).toContain("the template failed");
    });

    it.runIf("template" in notifier.settings)("refuses a template that it could not use", () => {
      const settings = { ...subject.settings({ port: 1, encrypted: false }), template: "{% if %}" };

      expect(() => configured(notifier, settings)).toThrow(/"template" is not a template that can be used: .*line:1/);
    });
  });
}

/** As the engine calls it, with settings read as from a configuration. */
export async function notify(
  subject: NotifierSubject,
  { port }: Pick<NotifierPeer, "port">,
  traits: {
    readonly notification?: Notification;
    readonly signal?: AbortSignal;
    readonly encrypted?: boolean;
    readonly settings?: Readonly<Record<string, unknown>>;
  } = {},
): Promise<void> {
  const { encrypted = false, signal = AbortSignal.timeout(60_000) } = traits;
  await subject.notifier.notify({
    notification: traits.notification ?? notificationOf(),
    settings: configured(subject.notifier, { ...subject.settings({ port, encrypted }), ...traits.settings }),
    clients: { http: createHttp().real, mail: createMailers().real } as Clients,
    signal,
  });
}

/** Hostile text wherever an event, a rule or an outcome has text. */
export function hostileNotification(): Notification {
  const fields = { "k8s.ns.name": "shop", "k8s.pod.name": "cart-1", "proc.cmdline": hostile, [hostile]: hostile };
  const event = eventOf({ rule: hostile, output: hostile, hostname: hostile, tags: [hostile], fields });
  const artifact = { output: "local:file", location: hostile, bytes: 1, sha256: "00" };
  return notificationOf({
    event,
    rule: hostile,
    action: { name: hostile, actionner: "kubernetes:label" },
    outcome: { message: hostile, text: hostile, undo: hostile, artifact, objects: { [hostile]: hostile } },
  });
}

export async function failureOf(promise: Promise<unknown>): Promise<ActionError> {
  const error = await promise.then(
    () => "it succeeded",
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ActionError)) {
    throw new Error(`not an ActionError: ${inspect(error)}`);
  }
  return error;
}

/** From a configuration file of these settings, as the loader reads it; throws with all that is wrong. */
function configured(
  notifier: Notifier,
  settings: Readonly<Record<string, unknown>>,
  {
    env = {},
    readFile = () => "",
  }: { readonly env?: Record<string, string>; readonly readFile?: (path: string) => string } = {},
): Readonly<Record<string, unknown>> {
  const catalogue = createCatalogue({ actionners: [], contexts: [], outputs: [], notifiers: [notifier] });
  const text = JSON.stringify({ notifiers: { [notifier.id]: settings } });
  const path = "config.yaml";
  const reading = loadConfig({ path, env, readFile: (name) => (name === path ? text : readFile(name)), catalogue });
  const values = reading.config?.notifiers[notifier.id];
  if (values === undefined) {
    throw new Error(reading.problems.map(describeProblem).join("\n"));
  }
  return values;
}

function isSecretText({ settings }: Notifier, name: string): boolean {
  const field = settings[name];
  return field?.secret === true && field.schema.type === "string";
}

function anyOf(secrets: readonly string[]): RegExp {
  return new RegExp(secrets.map((secret) => RegExp.escape(secret)).join("|"));
}

/** All that a log could show of it. */
function shownOf(error: ActionError): string {
  return `${inspect(error, { depth: 9, showHidden: true })}${error.stack}`;
}
