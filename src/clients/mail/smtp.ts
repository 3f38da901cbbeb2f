// The only module that imports nodemailer; it is itself imported only with the first mail.
import { connect as connectPlain, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import MailComposer from "nodemailer/lib/mail-composer";
import SMTPConnection, { type SMTPConnectionSendInfo } from "nodemailer/lib/smtp-connection";
import { abortedError, untilAborted } from "../../catalogue/abort.ts";
import { ActionError, type ErrorCode } from "../../catalogue/errors.ts";
import { neverSent } from "../../catalogue/http.ts";
import { watchConnecting } from "../connecting.ts";
import { startOfWords } from "../told.ts";
import { addressIn, type Login, type Mail, type MailServer } from "./port.ts";

/** Of the server; the time for all of it is the signal's. */
const silenceMs = 30_000;
/** For the server to say goodbye. */
const goodbyeMs = 1000;

/** One mail, on a connection of its own. Without one, the connection and the login are tried. */
export async function send(mail: Mail | undefined, server: MailServer, signal: AbortSignal): Promise<void> {
  const what = `the mail by ${placeOf(server)}`;
  if (signal.aborted) {
    throw abortedError(signal, what);
  }
  const socket = open(server);
  try {
    await untilAborted(deliver(mail, server, socket), signal, what);
  } catch (error) {
    socket.destroy();
    throw signal.aborted ? abortedError(signal, what) : explained(error, server);
  }
  setTimeout(() => socket.destroy(), goodbyeMs).unref();
}

function open({ host, port, encryption, ca }: MailServer): Socket {
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const socket =
    encryption === "tls"
      ? connectTls({ host, port, ...servername, ...(ca && { ca }) })
      : connectPlain({ host, port, noDelay: true });
  watchConnecting(socket);
  // Whoever waits for the socket has a listener of his own; what comes later changes nothing.
  return socket.on("error", () => undefined);
}

async function deliver(mail: Mail | undefined, server: MailServer, socket: Socket): Promise<void> {
  await connected(socket, server);
  const connection = new SMTPConnection({
    connection: socket,
    secured: server.encryption === "tls",
    host: server.host,
    port: server.port,
    requireTLS: server.encryption === "starttls",
    ignoreTLS: server.encryption === "none",
    tls: { ...(server.ca && { ca: server.ca }) },
    greetingTimeout: silenceMs,
    socketTimeout: silenceMs,
  });
  const { promise: broken, reject } = Promise.withResolvers<never>();
  broken.catch(() => undefined);
  connection.on("error", reject);

  await Promise.race([broken, converse(connection, mail, server)]);
  connection.quit();
}

async function connected(socket: Socket, { encryption }: MailServer): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once(encryption === "tls" ? "secureConnect" : "connect", resolve).once("error", reject);
  await promise;
}

async function converse(connection: SMTPConnection, mail: Mail | undefined, server: MailServer): Promise<void> {
  await called<void>((done) => connection.connect(done));
  if (server.login !== undefined) {
    await logIn(connection, server.login, server);
  }
  if (mail === undefined) {
    return;
  }
  const message = await composed(mail);
  const envelope = { from: addressIn(mail.from), to: mail.to.map((one) => addressIn(one) ?? one) };
  const info = await called<SMTPConnectionSendInfo>((done) => connection.send(envelope, message, done));
  mustBeForAll(info, server);
}

async function logIn(connection: SMTPConnection, { user, password, unencrypted }: Login, server: MailServer) {
  if (!connection.secure && !unencrypted) {
    throw new ActionError(
      "forbidden",
      `the connection to ${placeOf(server)} is not encrypted, so the password is not sent: the server does not offer STARTTLS`,
    );
  }
  await called<unknown>((done) => connection.login({ user, pass: password }, done));
}

/** A promise of what nodemailer tells a callback. */
function called<T>(call: (done: (error?: Error | null, result?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => call((error, result) => (error ? reject(error) : resolve(result as T))));
}

/** nodemailer folds and encodes the headers, and takes line breaks out of them. */
async function composed({ id, date, from, to, subject, text, html }: Mail): Promise<Buffer> {
  const domain = addressIn(from)?.split("@").at(-1) ?? "localhost";
  const composer = new MailComposer({
    from,
    to: to.join(", "),
    subject,
    date,
    messageId: `<${id}@${domain}>`,
    headers: { "Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All" },
    text,
    ...(html !== undefined && { html }),
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return composer.compile().build();
}

function mustBeForAll({ accepted, rejected, rejectedErrors = [] }: SMTPConnectionSendInfo, server: MailServer): void {
  if (rejected.length === 0) {
    return;
  }
  const refusals = rejected.map(
    (one, index) => `${one} (${startOfWords(rejectedErrors[index]?.response ?? "", secretsOf(server))})`,
  );
  const message = `${placeOf(server)} refused ${refusals.join(", ")}, and took the mail for ${accepted.join(", ")}`;
  throw new ActionError("invalid", message);
}

interface SmtpError extends Error {
  readonly code?: string;
  readonly command?: string;
  readonly response?: string;
  readonly responseCode?: number;
}

function explained(error: unknown, server: MailServer): ActionError {
  if (error instanceof ActionError) {
    return error;
  }
  const { code, command, response = "", responseCode, message } = error as SmtpError;
  const place = placeOf(server);
  if (responseCode !== undefined) {
    const refused = command === "STARTTLS" ? `${place} does not encrypt by STARTTLS` : `${place} answered`;
    const words = `${refused}: ${startOfWords(response, secretsOf(server))}`;
    return new ActionError(codeOfReply(responseCode), words, { notBegun: true });
  }
  return new ActionError(
    codes[code ?? ""] ?? "unavailable",
    `${place} does not answer: ${wordsOf(startOfWords(message, secretsOf(server)), code)}`,
    {
      cause: error,
      notBegun: neverSent(error),
    },
  );
}

/** Of nodemailer, where the server has not answered with a number. */
const codes: Readonly<Record<string, ErrorCode>> = { EAUTH: "forbidden", EENVELOPE: "invalid", EMESSAGE: "invalid" };

/** RFC 5321 and 4954: what begins with 4 may pass. */
function codeOfReply(reply: number): ErrorCode {
  if (reply === 421 || reply === 454) {
    return "unavailable";
  }
  if (reply < 500) {
    return "throttled";
  }
  return [530, 534, 535, 538].includes(reply) ? "forbidden" : "invalid";
}

/** nodemailer's own codes say less than its words, the system's more. */
function wordsOf(message: string, code: string | undefined): string {
  return code === undefined || code.startsWith("E") ? message : `${message} (${code})`;
}

/** The password, in the forms in which the server gets it. */
function secretsOf({ login }: MailServer): readonly string[] {
  return login === undefined
    ? []
    : [login.password, base64(login.password), base64(`\u0000${login.user}\u0000${login.password}`)];
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function placeOf({ host, port }: MailServer): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
