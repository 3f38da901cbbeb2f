import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { equals, type Secret } from "../schema/secret.ts";
import { notFound } from "./paths.ts";
import type { Refusal } from "./refusal.ts";

/** How senders may prove themselves; any one of those given suffices. */
export interface Auth {
  readonly bearerToken?: Secret | undefined;
  readonly basic?: { readonly user: string; readonly password: Secret } | undefined;
  /** Events may be sent to `/<secret>`: Falco itself can send no headers. */
  readonly pathSecret?: Secret | undefined;
  /** Whether a certificate that the server's client CA signed is one of the ways. */
  readonly clientCertificate: boolean;
}

/** Why a request may not send events, or undefined when it may. */
export type Gate = (request: IncomingMessage, path: string) => Refusal | undefined;

type Proof = (request: IncomingMessage) => boolean;

interface Method {
  readonly scheme: string;
  readonly name: string;
  readonly proves: Proof;
}

export function createGate({ bearerToken, basic, pathSecret, clientCertificate }: Auth): Gate {
  const methods = [
    ...(bearerToken === undefined ? [] : [bearer(bearerToken)]),
    ...(basic === undefined ? [] : [basicOf(basic.user, basic.password)]),
    ...(clientCertificate ? [certificate] : []),
  ];
  const isSecretPath = pathSecret === undefined ? undefined : pathIs(pathSecret);
  const unauthorized = unauthorizedBy(methods, isSecretPath !== undefined);
  const isOpen = methods.length === 0 && isSecretPath === undefined;

  return (request, path) => {
    if (isSecretPath?.(path)) {
      return undefined;
    }
    if (path !== "/") {
      return isSecretPath === undefined ? notFound : unauthorized;
    }
    return isOpen || methods.some(({ proves }) => proves(request)) ? undefined : unauthorized;
  };
}

function bearer(token: Secret): Method {
  const isToken = equals(token.reveal());
  return { scheme: "Bearer", name: "a bearer token", proves: (request) => isToken(credentials(request, "bearer")) };
}

function basicOf(user: string, password: Secret): Method {
  const isPair = equals(`${user}:${password.reveal()}`);
  return {
    scheme: "Basic",
    name: "user and password",
    proves: (request) => isPair(Buffer.from(credentials(request, "basic"), "base64").toString("utf8")),
  };
}

/**
 * `authorized` alone is not enough: older Nodes (20 among them) also say it of a sender without certificate that resumes
 * a TLS 1.3 session which it opened without one.
 */
const certificate: Method = {
  scheme: "ClientCertificate",
  name: "a client certificate",
  proves: ({ socket }) => {
    const { authorized, getPeerX509Certificate } = socket as Partial<TLSSocket>;
    return authorized === true && getPeerX509Certificate?.call(socket) !== undefined;
  },
};

function pathIs(secret: Secret): (path: string) => boolean {
  const isSecret = equals(secret.reveal());
  return (path) => isSecret(decoded(path.slice(1)));
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** What follows the scheme in `Authorization`, or nothing. */
function credentials({ headers }: IncomingMessage, scheme: string): string {
  const [given, ...rest] = (headers.authorization ?? "").split(" ");
  return given?.toLowerCase() === scheme ? rest.join(" ").trim() : "";
}

function unauthorizedBy(methods: readonly Method[], byPath: boolean): Refusal {
  const schemes = [...methods.map(({ scheme }) => scheme), ...(byPath ? ["PathSecret"] : [])];
  const names = [...methods.map(({ name }) => name), ...(byPath ? ["the secret path"] : [])];
  return {
    status: 401,
    reason: "unauthorized",
    expected: names.join(", or "),
    message: "the request does not prove that it may send events",
    headers: { "www-authenticate": schemes.map((scheme) => `${scheme} realm="hallux"`).join(", ") },
  };
}
