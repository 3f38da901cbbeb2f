import { generateKeyPairSync, type KeyObject, randomUUID, verify } from "node:crypto";
import { writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { type HttpPeer, httpPeer, type SeenRequest } from "./http-peer.ts";

const email = "hallux@shop.iam.gserviceaccount.com";
const cloudPlatform = "https://www.googleapis.com/auth/cloud-platform";
const jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const tokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange";

type Answer = (request: SeenRequest, response: ServerResponse) => void;

/** What Google answers, where not as it should. By the start of the path. */
type Overrides = Record<string, Answer>;

export interface Google extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly SeenRequest[];
  /** Those to a path that begins so. */
  to(path: string): readonly SeenRequest[];
  readonly overrides: Overrides;
  /** Seconds that an ID token holds. */
  idTokenSeconds: number;
  /** Refuses what it gave so far. */
  revoke(): void;
  /** Writes the key of a service account that it knows, or, by another key pair, of one that claims to be it. */
  keyFile(path: string, traits?: { readonly wrongKey?: boolean; readonly project?: string }): string;
  /** Writes a configuration of workload identity federation for the subject token in a file. */
  federationFile(path: string, subjectToken: string, traits?: { readonly impersonation?: boolean }): string;
}

/**
 * Google's services as far as Hallux asks them, on one port, and strict: the token service checks signatures, every service its
 * caller's token, the functions the ID token's audience. There are `isolate` (2nd generation) and `older`, which only v1 knows.
 */
export async function google(): Promise<Google> {
  const state = { idTokenSeconds: 3600, accessTokens: new Set<string>(), idTokens: new Map<string, string>() };
  const overrides: Overrides = {};
  const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const strangers = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const peer: HttpPeer = await httpPeer((request, response) => {
    const override = Object.keys(overrides).find((path) => request.url.startsWith(path));
    return (override === undefined ? answer : (overrides[override] ?? answer))(request, response);
  });

  function accessToken(kind: string): string {
    const token = `ya29.${kind}.${randomUUID()}`;
    state.accessTokens.add(token);
    return token;
  }

  function idToken(audience: string): string {
    const claims = { aud: audience, email, exp: Math.floor(Date.now() / 1000) + state.idTokenSeconds };
    const token = `${base64url({ alg: "RS256" })}.${base64url(claims)}.${randomUUID()}`;
    state.idTokens.set(token, audience);
    return token;
  }

  const services: Readonly<Record<string, Answer>> = {
    "POST /token": ({ body }, response) => {
      const form = Object.fromEntries(new URLSearchParams(body));
      const claims = claimsOf(form["assertion"], keys.publicKey);
      if (form["grant_type"] !== jwtBearer || claims === undefined) {
        return send(response, 400, { error: "invalid_grant", error_description: "Invalid JWT Signature." });
      }
      return claims["target_audience"] === undefined
        ? send(response, 200, { access_token: accessToken("key"), expires_in: 3599, token_type: "Bearer" })
        : send(response, 200, { id_token: idToken(claims["target_audience"]) });
    },
    "POST /sts": ({ body }, response) => {
      const form = Object.fromEntries(new URLSearchParams(body));
      return form["grant_type"] === tokenExchange && form["subject_token"] === "of-this-workload"
        ? send(response, 200, {
            access_token: accessToken("federated"),
            issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
            token_type: "Bearer",
            expires_in: 3599,
          })
        : send(response, 400, { error: "invalid_grant", error_description: "The subject token is not accepted." });
    },
    [`POST /v1/projects/-/serviceAccounts/${email}:generateAccessToken`]: (request, response) =>
      bearerOf(request).includes(".federated.")
        ? send(response, 200, {
            accessToken: accessToken("impersonated"),
            expireTime: new Date(Date.now() + 3_599_000).toISOString(),
          })
        : denied(response, "iam.serviceAccounts.getAccessToken"),
    [`POST /v1/projects/-/serviceAccounts/${email}:generateIdToken`]: (request, response) =>
      bearerOf(request).includes(".federated.")
        ? send(response, 200, { token: idToken(JSON.parse(request.body).audience) })
        : denied(response, "iam.serviceAccounts.getOpenIdToken"),
    "GET /computeMetadata/": metadata,
    "GET /v2/projects/shop/locations/us-central1/functions/isolate": (request, response) =>
      isKnown(request)
        ? send(response, 200, { url: `${peer.url}/unused`, serviceConfig: { uri: `${peer.url}/run/isolate` } })
        : send(response, 401, { error: { message: "Request had invalid authentication credentials." } }),
    "GET /v1/projects/shop/locations/us-central1/functions/older": (_request, response) =>
      send(response, 200, { httpsTrigger: { url: `${peer.url}/run/older` } }),
    "POST /run/": (request, response) =>
      state.idTokens.get(bearerOf(request)) === `${peer.url}${request.url}`
        ? send(response, 200, { isolated: true })
        : send(response, 401, "Unauthorized"),
  };

  function isKnown(request: SeenRequest): boolean {
    return state.accessTokens.has(bearerOf(request));
  }

  function metadata({ url, headers }: SeenRequest, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(url, peer.url);
    response.setHeader("metadata-flavor", "Google");
    const answers: Readonly<Record<string, () => unknown>> = {
      "project/project-id": () => "shop",
      "instance/service-accounts/default/token": () => ({
        access_token: accessToken("attached"),
        expires_in: 3599,
        token_type: "Bearer",
      }),
      "instance/service-accounts/default/identity": () => idToken(searchParams.get("audience") ?? ""),
    };
    const found = answers[pathname.replace("/computeMetadata/v1/", "")];
    const isThere = headers["metadata-flavor"] === "Google" && found !== undefined;
    send(response, isThere ? 200 : 404, isThere ? found() : "not found");
  }

  function answer(request: SeenRequest, response: ServerResponse): void {
    const asked = `${request.method} ${request.url}`;
    const service = Object.keys(services).find((start) => asked.startsWith(start));
    const unknown = answering(404, { error: { message: "not found" } });
    (services[service ?? ""] ?? unknown)(request, response);
  }

  return {
    url: peer.url,
    requests: peer.requests,
    to: (path) => peer.requests.filter(({ url }) => url.startsWith(path)),
    overrides,
    get idTokenSeconds() {
      return state.idTokenSeconds;
    },
    set idTokenSeconds(seconds) {
      state.idTokenSeconds = seconds;
    },
    revoke: () => state.idTokens.clear(),
    keyFile(path, { wrongKey = false, project = "shop" } = {}) {
      const { privateKey } = wrongKey ? strangers : keys;
      const private_key = privateKey.export({ type: "pkcs8", format: "pem" });
      return write(path, { type: "service_account", project_id: project, client_email: email, private_key });
    },
    federationFile(path, subjectToken, { impersonation = true } = {}) {
      return write(path, {
        type: "external_account",
        audience: "//iam.googleapis.com/projects/shop/locations/global/workloadIdentityPools/p/providers/kubernetes",
        subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
        token_url: `${peer.url}/sts`,
        credential_source: { file: subjectToken },
        ...(impersonation && {
          service_account_impersonation_url: `${peer.url}/v1/projects/-/serviceAccounts/${email}:generateAccessToken`,
        }),
      });
    },
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  };
}

/** An answer of Google's that is the same for everything. */
export function answering(status: number, body: unknown = "", headers: Record<string, string> = {}): Answer {
  return (_request, response) => {
    for (const [name, value] of Object.entries(headers)) {
      response.setHeader(name, value);
    }
    send(response, status, body);
  };
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const type = typeof body === "string" ? "text/plain" : "application/json";
  response.writeHead(status, { "content-type": type }).end(typeof body === "string" ? body : JSON.stringify(body));
}

function denied(response: ServerResponse, permission: string): void {
  send(response, 403, { error: { code: 403, message: `Permission '${permission}' denied` } });
}

function bearerOf({ headers }: SeenRequest): string {
  return headers.authorization?.replace("Bearer ", "") ?? "";
}

/** Of an assertion that the service account signed, for the token service, and that has not expired. */
function claimsOf(assertion = "", key: KeyObject): Readonly<Record<string, string>> | undefined {
  const [header = "", payload = "", signature = ""] = assertion.split(".");
  const signed = verify("RSA-SHA256", Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, "base64url"));
  const claims = signed ? JSON.parse(Buffer.from(payload, "base64url").toString()) : {};
  const asksForSomething = claims.target_audience !== undefined || claims.scope === cloudPlatform;
  const isForUs = claims.iss === email && claims.aud === "https://oauth2.googleapis.com/token";
  return isForUs && asksForSomething && claims.exp * 1000 > Date.now() ? claims : undefined;
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function write(path: string, content: object): string {
  writeFileSync(path, JSON.stringify(content));
  return path;
}
