import { createServer, type Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Notification } from "../src/catalogue/catalogue.ts";
import type { Clients } from "../src/clients/clients.ts";
import { createMailers } from "../src/clients/mail/adapter.ts";
import { compileFields } from "../src/schema/read.ts";
import { eventually } from "../test/support/cluster.ts";
import { eventOf } from "../test/support/events.ts";
import { notificationOf } from "../test/support/notifications.ts";
import { certificates, failureOf, hostile, hostileNotification } from "../test/support/notifier-contract.ts";
import { type SmtpPeer, smtpPeer } from "../test/support/smtp-peer.ts";
import { smtp } from "./smtp.ts";

/** As a configuration would be read, with its defaults. */
function settingsOf(raw: Readonly<Record<string, unknown>>) {
  const { values } = compileFields(smtp.settings).read({
    host_port: "localhost:25",
    from: "Hallux <hallux@example.org>",
    to: "team@example.org, Sam <sam@example.org>",
    ...raw,
  });
  if (values === undefined) {
    throw new Error("the settings do not load");
  }
  return values;
}

interface Traits {
  readonly notification?: Notification;
  readonly signal?: AbortSignal;
}

function send(
  { port }: Pick<SmtpPeer, "port">,
  raw: Readonly<Record<string, unknown>> = {},
  { notification = notificationOf(), signal = AbortSignal.timeout(20_000) }: Traits = {},
): Promise<void> {
  const settings = settingsOf({ host_port: `localhost:${port}`, ...raw });
  return smtp.notify({ notification, settings, clients: { mail: createMailers().real } as Clients, signal });
}

const trusting = { ca: certificates.authority };
const login = { user: "hallux", password: "s3cr3t-passw0rd" };
const plain = { disabledCommands: ["STARTTLS"] };

function reply(responseCode: number, words: string): Error {
  return Object.assign(new Error(words), { responseCode });
}

describe("a mail", () => {
  it("is HTML with its text beside it, to every recipient, and says that a machine wrote it", async () => {
    await using peer = await smtpPeer(plain);
    const notification = notificationOf({ event: eventOf({ pod: "shop/cart-1", output: "A <b>shell</b>" }) });

    await send(peer, {}, { notification });

    const [mail] = peer.mails;
    expect(mail).toMatchObject({ from: "hallux@example.org", to: ["team@example.org", "sam@example.org"] });
    expect(Object.fromEntries(mail?.headers ?? [])).toMatchObject({
      from: "Hallux <hallux@example.org>",
      subject: "[Hallux] Done: kubernetes:label on pod shop/cart-1",
      date: "Sat, 21 Nov 2026 08:15:00 +0000",
      "auto-submitted": "auto-generated",
      "message-id": expect.stringMatching(/^<[0-9a-f]{32}@example\.org>$/),
      "content-type": expect.stringContaining("multipart/alternative"),
    });
    expect(mail?.bodies[0]).toMatch(/^Done: kubernetes:label on pod shop\/cart-1\n\npod labelled\n/);
    expect(mail?.bodies[0]).toContain("A <b>shell</b>");
    expect(mail?.bodies[1]).toContain("A &lt;b&gt;shell&lt;/b&gt;");
  });

  it("is text alone where that is asked for", async () => {
    await using peer = await smtpPeer(plain);

    await send(peer, { format: "text" });

    expect(peer.mails[0]?.headers.get("content-type")).toMatch(/^text\/plain/);
    expect(peer.mails[0]?.bodies).toHaveLength(1);
  });

  it("has the same id when it is sent again, and another for another notification", async () => {
    await using peer = await smtpPeer(plain);
    const notification = notificationOf();

    await send(peer, {}, { notification });
    await send(peer, {}, { notification });
    await send(peer);

    const [first, second, third] = peer.mails.map(({ headers }) => headers.get("message-id"));
    expect(second).toBe(first);
    expect(third).not.toBe(first);
  });

  it("has no header and no recipient that an attacker writes", async () => {
    await using peer = await smtpPeer(plain);

    await send(peer, { subject: "{{ event.rule }} {{ rule.name }}" }, { notification: hostileNotification() });

    const [mail] = peer.mails;
    expect(mail?.to).toEqual(["team@example.org", "sam@example.org"]);
    expect([...(mail?.headers.keys() ?? [])].filter((name) => /bcc|evil/.test(name))).toEqual([]);
    expect(mail?.headers.get("subject")).toMatch(/^<script>alert\(1\)<\/script>[^\r\n]*…$/);
    expect(hostile).toContain("\r\nBcc: victim");
  });

  it("is what the templates say, with values escaped for HTML", async () => {
    await using peer = await smtpPeer(plain);
    const notification = notificationOf({ event: eventOf({ fields: { "proc.cmdline": "<script>" } }) });
    const template = '<p>{{ outcome.status }}: {{ event.fields["proc.cmdline"] }}</p>';

    await send(peer, { template, subject: "{{ outcome.status }} ü" }, { notification });

    const [mail] = peer.mails;
    expect(mail?.headers.get("subject")).toBe("success ü");
    expect(mail?.bodies[1]?.trim()).toBe("<p>success: &lt;script&gt;</p>");
    expect(mail?.bodies[0]).toContain("Falco rule: ");
  });

  it("carries every line of the text, dots too", async () => {
    await using peer = await smtpPeer(plain);
    const notification = notificationOf({ outcome: { text: "a\n.\n..b\nQUIT" } });

    await send(peer, { format: "text", template: "{{ outcome.text }}" }, { notification });

    expect(peer.mails).toHaveLength(1);
    expect(peer.mails[0]?.bodies[0]?.trimEnd()).toBe("a\n.\n..b\nQUIT");
  });
});

describe("encryption", () => {
  it("is by STARTTLS where the server offers it, and the password goes over it", async () => {
    await using peer = await smtpPeer();

    await send(peer, { ...trusting, ...login });

    expect(peer.mails[0]).toMatchObject({ encrypted: true, user: "hallux" });
  });

  it("is from the start where the setting says so", async () => {
    await using peer = await smtpPeer({ secure: true });

    await send(peer, { ...trusting, encryption: "tls" });

    expect(peer.mails[0]).toMatchObject({ encrypted: true });
  });

  it("does without where the server offers none, but not with `tls`", async () => {
    await using peer = await smtpPeer(plain);

    await send(peer);
    const error = await failureOf(send(peer, { tls: true }));

    expect(peer.mails).toHaveLength(1);
    expect(error.code).toBe("invalid");
    expect(error.message).toMatch(/^localhost:\d+ does not encrypt by STARTTLS: 50\d /);
  });

  it("is left alone where the setting says `none`", async () => {
    await using peer = await smtpPeer();

    await send(peer, { encryption: "none" });

    expect(peer.mails[0]).toMatchObject({ encrypted: false });
  });

  it("that fails from the start leaves nothing begun", async () => {
    await using peer = await smtpPeer(plain);

    const error = await failureOf(send(peer, { encryption: "tls" }));

    expect(error).toMatchObject({ code: "unavailable", notBegun: true });
  });

  it.each(["opportunistic", "starttls"])(
    "never goes on without where the certificate is wrong (%s)",
    async (encryption) => {
      await using peer = await smtpPeer();

      const error = await failureOf(send(peer, { encryption }));

      expect(error.code).toBe("unavailable");
      expect(error.message).toContain("certificate");
      expect(peer.mails).toEqual([]);
    },
  );

  it("has a certificate for the server's name", async () => {
    await using peer = await smtpPeer();

    const error = await failureOf(
      send(peer, { ...trusting, host_port: `[::ffff:127.0.0.1]:${peer.port}`, encryption: "starttls" }),
    );

    expect(error.message).toMatch(/does not match certificate/);
  });

  it("is needed for a password, unless the settings allow it without", async () => {
    const given: string[] = [];
    await using peer = await smtpPeer({
      ...plain,
      allowInsecureAuth: true,
      onAuth: (auth, _session, done) => {
        given.push(auth.password ?? "");
        done(null, { user: auth.username });
      },
    });

    const error = await failureOf(send(peer, login));
    await send(peer, { ...login, unencrypted_login: true });

    expect(error).toMatchObject({ code: "forbidden", message: expect.stringContaining("the password is not sent") });
    expect(given).toEqual([login.password]);
  });
});

describe("a mail server", () => {
  it("that refuses the login is told of, without the password", async () => {
    await using peer = await smtpPeer({
      onAuth: ({ password }, _session, done) => done(reply(535, `5.7.8 not with ${password}`)),
    });

    const error = await failureOf(send(peer, { ...trusting, ...login }));

    expect(error).toMatchObject({ code: "forbidden", notBegun: true });
    expect(error.message).toMatch(/^localhost:\d+ answered: 535 5\.7\.8 not with \[secret\]$/);
  });

  it.each([
    [421, "unavailable"],
    [450, "throttled"],
    [451, "throttled"],
    [452, "throttled"],
    [530, "forbidden"],
    [550, "invalid"],
    [554, "invalid"],
  ])("that answers every recipient %i is %s", async (code, expected) => {
    await using peer = await smtpPeer({ ...plain, onRcptTo: (_address, _session, done) => done(reply(code, "no")) });

    const error = await failureOf(send(peer));

    expect(error).toMatchObject({ code: expected, message: expect.stringContaining(`answered: ${code}`) });
    expect(peer.mails).toEqual([]);
  });

  it("that takes the mail for some recipients only is no reason to send it to those again", async () => {
    await using peer = await smtpPeer({
      ...plain,
      onRcptTo: ({ address }, _session, done) =>
        done(address.startsWith("sam") ? reply(451, "4.7.1 greylisted") : null),
    });

    const error = await failureOf(send(peer));

    expect(peer.mails.map(({ to }) => to)).toEqual([["team@example.org"]]);
    expect(error.code).toBe("invalid");
    expect(error.message).toMatch(
      /^localhost:\d+ refused sam@example.org \(451 4.7.1 greylisted\), and took the mail for team@example.org$/,
    );
  });

  it("that finds the mail too big is told of", async () => {
    await using peer = await smtpPeer({ ...plain, size: 100, hideSize: true, rejectOversized: true });

    const error = await failureOf(send(peer));

    expect(error).toMatchObject({ code: "invalid", message: expect.stringContaining("answered: 552") });
  });

  it.each([
    ["its greeting", ""],
    ["its name", "220 hi\r\n"],
    ["the end of the mail", "220 hi\r\n250 hi\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"],
  ])("that hangs before %s ends with the deadline, and its connection with it", async (_, answers) => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on("close", () => sockets.delete(socket)).on("error", () => undefined));
      const lines = answers.split(/(?<=\n)/);
      socket.write(lines.shift() ?? "");
      socket.on("data", () => lines.length > 0 && socket.write(lines.shift() ?? ""));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };

    const error = await failureOf(
      send({ port }, { host_port: `127.0.0.1:${port}` }, { signal: AbortSignal.timeout(400) }),
    );

    expect(error.code).toBe("timeout");
    await eventually(async () => sockets.size === 0 || undefined);
  });

  it("that says nonsense, or breaks off, is unavailable", async () => {
    const server = createServer(
      (socket) => void socket.on("error", () => undefined).end(`HTTP/1.1 \u001b[2J${"x".repeat(9000)}\r\n\r\n`),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };

    const error = await failureOf(send({ port }, { host_port: `127.0.0.1:${port}` }));

    expect(error.code).toBe("unavailable");
    expect(error.message).toMatch(
      /^127.0.0.1:\d+ does not answer: Invalid greeting. response=HTTP\/1.1 \[2Jx{50,200}$/,
    );
  });

  it("is left with a goodbye", async () => {
    await using peer = await smtpPeer(plain);

    await send(peer);

    await eventually(async () => peer.connections() === 0 || undefined);
  });
});

describe("a dry run", () => {
  it("logs in, and sends nobody a mail", async () => {
    const users: string[] = [];
    await using peer = await smtpPeer({
      onAuth: ({ username }, _session, done) => {
        users.push(username ?? "");
        done(null, { user: username });
      },
    });
    const settings = settingsOf({ host_port: `localhost:${peer.port}`, ...trusting, ...login });

    await smtp.notify({
      notification: notificationOf(),
      settings,
      clients: { mail: createMailers().dryRun } as Clients,
      signal: AbortSignal.timeout(20_000),
    });

    expect(users).toEqual(["hallux"]);
    expect(peer.mails).toEqual([]);
  });
});

describe("settings of mail", () => {
  it.each([
    [{ from: "hallux" }, "from"],
    [{ to: "a@example.org, b" }, "to"],
    [{ to: "a@example.org\r\nBcc: x@evil.example" }, "to"],
    [{ from: "Hallux\r\nBcc: x <hallux@example.org>" }, "from"],
    [{ host_port: "localhost:0" }, "host_port"],
    [{ host_port: "localhost:65536" }, "host_port"],
    [{ user: "u" }, "user"],
    [{ password: "p" }, "password"],
    [{ tls: true, encryption: "none" }, "encryption"],
    [{ template: "{{ x }}" }, "template"],
    [{ subject: "{{" }, "subject"],
  ])("%j are told of", (raw, setting) => {
    const faults = smtp.check?.(settingsOf(raw)) ?? [];

    expect(faults.map((fault) => fault.setting)).toEqual([setting]);
  });

  it("are right as Talon's documentation has them", () => {
    const settings = { host_port: "mail:587", user: "u", password: "p", format: "html", tls: true };

    expect(smtp.check?.(settingsOf(settings))).toEqual([]);
  });
});
