import type { AddressInfo, Socket } from "node:net";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { certificates, type NotifierPeer } from "./notifier-contract.ts";

/** As a mail program shows them, and the whole mail behind it. */
export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly user: string | undefined;
  readonly encrypted: boolean;
  /** As it came. */
  readonly source: string;
  /** Unfolded, by lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  /** Of each part, decoded. */
  readonly bodies: readonly string[];
}

export interface SmtpPeer extends NotifierPeer {
  readonly mails: readonly ReceivedMail[];
}

/** A mail server, for real: the makers of nodemailer test with it. */
export async function smtpPeer(options: SMTPServerOptions = {}): Promise<SmtpPeer> {
  const mails: ReceivedMail[] = [];
  const received: string[] = [];
  const sockets = new Set<Socket>();
  const server = new SMTPServer({
    ...certificates,
    authOptional: true,
    disableReverseLookup: true,
    closeTimeout: 100,
    onAuth: (auth, _session, done) => done(null, { user: auth.username }),
    async onData(stream, session, done) {
      const source = Buffer.concat(await stream.toArray()).toString();
      const mail = mailOf(source);
      const { mailFrom, rcptTo } = session.envelope;
      mails.push({
        ...mail,
        from: mailFrom === false ? "" : mailFrom.address,
        to: rcptTo.map(({ address }) => address),
        user: session.user as string | undefined,
        encrypted: session.secure,
      });
      const headers = [...mail.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
      received.push([headers, ...mail.bodies].join("\n\n"));
      done();
    },
    ...options,
  });
  server.on("error", () => undefined);
  server.server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.server.address() as AddressInfo).port,
    received,
    mails,
    connections: () => sockets.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) {
        socket.destroy();
      }
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function mailOf(source: string): Pick<ReceivedMail, "source" | "headers" | "bodies"> {
  const { headers, body } = split(source);
  const boundary = /boundary="([^"]+)"/.exec(headers.get("content-type") ?? "")?.[1];
  const parts = boundary === undefined ? [source] : body.split(`--${boundary}`).slice(1, -1);
  return { source, headers, bodies: parts.map((part) => decoded(split(part.trimStart()))) };
}

function split(source: string): { readonly headers: ReadonlyMap<string, string>; readonly body: string } {
  const end = source.indexOf("\r\n\r\n");
  const lines = source
    .slice(0, end)
    .replaceAll(/\r\n[ \t]/g, " ")
    .split("\r\n");
  const headers = lines.map((line) => /^([^:]+):\s*(.*)$/.exec(line)).filter((match) => match !== null);
  return {
    headers: new Map(headers.map(([, name = "", value = ""]) => [name.toLowerCase(), words(value)])),
    body: source.slice(end + 4),
  };
}

/** `=?UTF-8?Q?…?=` of RFC 2047. */
function words(value: string): string {
  return value
    .replaceAll(/\?=\s+=\?/g, "?==?")
    .replaceAll(/=\?utf-8\?([qb])\?([^?]*)\?=/gi, (_, form: string, text: string) =>
      form.toLowerCase() === "b" ? Buffer.from(text, "base64").toString() : unquoted(text.replaceAll("_", " ")),
    );
}

function decoded({ headers, body }: ReturnType<typeof split>): string {
  switch (headers.get("content-transfer-encoding")) {
    case "base64":
      return Buffer.from(body, "base64").toString();
    case "quoted-printable":
      return unquoted(body.replaceAll(/=\r\n/g, "")).replaceAll("\r\n", "\n");
    default:
      return body.replaceAll("\r\n", "\n");
  }
}

function unquoted(text: string): string {
  const bytes = text.replaceAll(/\P{ASCII}/gu, "?").replaceAll(/=([0-9A-F]{2})/gi, (_, hex: string) => `%${hex}`);
  return decodeURIComponent(bytes.replaceAll(/%(?![0-9A-F]{2})/gi, "%25"));
}
