import type { SettingFault } from "../src/catalogue/catalogue.ts";
import {
  basicCredentials,
  type Http,
  type HttpAnswer,
  type HttpRequest,
  headerFault,
  refusalOf,
  secretsIn,
  secretsInHeaders,
} from "../src/clients/http/port.ts";
import { type Field, longText, secret, secretMap } from "../src/schema/field.ts";
import type { Secret } from "../src/schema/secret.ts";

/** What every service that is told by HTTP may need. */
export const httpSettings = {
  custom_headers: secretMap("More headers of each request; their values are never shown"),
  ca: longText("Authorities of the server's certificate, PEM, instead of the well-known ones"),
};

/** A required URL. User and password in it are sent as basic authentication. */
export function secretUrl(summary: string): Field<Secret> {
  return {
    ...secret(`${summary}; it may hold credentials, so it is never shown`, { required: true }),
    schema: { type: "string", format: "uri", pattern: "^[Hh][Tt][Tt][Pp][Ss]?://" },
  };
}

export interface Credentials {
  /** The value of the Authorization header. */
  readonly header: string;
  readonly secret: string;
}

/** Undefined where either is. */
export function basic(user: string | undefined, password: Secret | undefined): Credentials | undefined {
  return user === undefined || password === undefined
    ? undefined
    : { header: basicCredentials(user, password.reveal()), secret: password.reveal() };
}

export function token(scheme: "Bearer" | "ApiKey", given: Secret | undefined): Credentials | undefined {
  return given && { header: `${scheme} ${given.reveal()}`, secret: given.reveal() };
}

/** The settings that make sense only together, where one is missing. */
export function pairFaults<N extends string>(
  settings: Readonly<Record<N, unknown>>,
  ...[one, other]: readonly [N, N]
): readonly SettingFault[] {
  if ((settings[one] === undefined) === (settings[other] === undefined)) {
    return [];
  }
  const [setting, missing] = settings[other] === undefined ? [one, other] : [other, one];
  return [{ setting, message: `"${setting}" needs "${missing}" beside it` }];
}

/** Of user and password, in place of which there may be a token. */
export function loginFaults<N extends string>(
  settings: Readonly<Record<N | "user" | "password", unknown>>,
  token: N,
): readonly SettingFault[] {
  const both = settings[token] !== undefined && settings.user !== undefined;
  return [
    ...pairFaults(settings, "user", "password"),
    ...(both ? [{ setting: token, message: `give "${token}", or "user" and "password", not both` }] : []),
  ];
}

/** A header that another setting gives. */
interface SettingHeader {
  readonly setting: string;
  readonly header: string;
  readonly value: string | undefined;
}

/** What cannot be sent of `custom_headers` and of other settings. */
export function headerFaults(
  custom: Readonly<Record<string, Secret>> | undefined,
  ...others: readonly SettingHeader[]
): readonly SettingFault[] {
  const given = Object.entries(custom ?? {}).map(([key, value]) => ({ key, value: value.reveal() }));
  const names = given.map(({ key }) => key.toLowerCase());
  return [
    ...given.map(({ key, value }, index) => ({
      setting: "custom_headers",
      key,
      message:
        headerFault(key, value) ??
        (names.indexOf(key.toLowerCase()) < index ? `the header "${key}" is given twice` : undefined),
    })),
    ...others.map(({ setting, header, value = "" }) => ({ setting, message: headerFault(header, value) })),
  ].flatMap(({ message, ...place }) => (message === undefined ? [] : [{ ...place, message }]));
}

export interface RequestContent {
  readonly method: string;
  /** Below the URL, unless the URL ends with it. */
  readonly path: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: object;
}

interface Means {
  readonly credentials: Credentials | undefined;
  /** They win over ours. */
  readonly custom_headers: Readonly<Record<string, Secret>> | undefined;
  readonly ca: string | undefined;
}

export function requestTo(
  base: URL,
  { method, path, query, headers, json }: RequestContent,
  means: Means,
): HttpRequest {
  const { credentials, ca } = means;
  const custom = revealed(means.custom_headers);
  return {
    url: below(base, path, query),
    method,
    headers: {
      "user-agent": "hallux",
      ...(json !== undefined && { "content-type": "application/json" }),
      ...(credentials !== undefined && { authorization: credentials.header }),
      ...headers,
      ...custom,
    },
    body: json && JSON.stringify(json),
    ca,
    secrets: [
      ...secretsIn(base),
      ...secretsInHeaders(custom),
      ...(credentials === undefined ? [] : Object.values<string>({ ...credentials })),
    ],
  };
}

export function isSuccess({ status }: HttpAnswer): boolean {
  return status >= 200 && status <= 299;
}

/** Throws where the answer is not 2xx. */
export async function deliver(request: HttpRequest, http: Http, signal: AbortSignal): Promise<void> {
  const answer = await http.send(request, signal);
  if (!isSuccess(answer)) {
    throw refusalOf(request, answer);
  }
}

function below(base: URL, path: string, query = base.search): URL {
  const url = new URL(base);
  const start = url.pathname.replace(/\/+$/, "");
  url.pathname = start.endsWith(path) ? start : start + path;
  url.search = query;
  return url;
}

/** By lower-case name, so that one given replaces one of ours. */
export function revealed(headers: Means["custom_headers"]): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value.reveal()]));
}
