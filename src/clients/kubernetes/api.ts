import {
  AppsV1Api,
  AuthorizationV1Api,
  BatchV1Api,
  type ConfigurationOptions,
  CoreV1Api,
  CustomObjectsApi,
  EventsV1Api,
  NetworkingV1Api,
  PatchStrategy,
  RbacAuthorizationV1Api,
  type RequestContext,
  ResponseContext,
  SelfDecodingBody,
  wrapHttpLibrary,
} from "@kubernetes/client-node";
import { request } from "undici";
import { type Connection, userAgent } from "./connection.ts";
import { type Asked, lostError, refusalError, Unauthenticated } from "./errors.ts";
import { permissionOf } from "./permission.ts";

/** The API groups that Hallux uses, over one connection. */
export interface Api {
  readonly core: CoreV1Api;
  readonly custom: CustomObjectsApi;
  readonly apps: AppsV1Api;
  readonly batch: BatchV1Api;
  readonly networking: NetworkingV1Api;
  readonly rbac: RbacAuthorizationV1Api;
  readonly authorization: AuthorizationV1Api;
  readonly events: EventsV1Api;
  readonly connection: Connection;
  /** The options of one call: the signal reaches the socket, and what is not 2xx is thrown as `ActionError`. */
  via(signal: AbortSignal, purpose?: Purpose): ConfigurationOptions;
  /** For every call that changes something: "All" in a dry run. */
  readonly dryRun: "All" | undefined;
}

export function createApi(connection: Connection, { dryRun }: { readonly dryRun: boolean }): Api {
  return {
    core: connection.makeApiClient(CoreV1Api),
    custom: connection.makeApiClient(CustomObjectsApi),
    apps: connection.makeApiClient(AppsV1Api),
    batch: connection.makeApiClient(BatchV1Api),
    networking: connection.makeApiClient(NetworkingV1Api),
    rbac: connection.makeApiClient(RbacAuthorizationV1Api),
    authorization: connection.makeApiClient(AuthorizationV1Api),
    events: connection.makeApiClient(EventsV1Api),
    connection,
    via: (signal, purpose) => viaConnection(connection, signal, purpose),
    dryRun: dryRun ? "All" : undefined,
  };
}

export interface Purpose {
  /** The object asked for is what the action works on: `TargetGone` where it is gone. */
  readonly aboutTarget?: boolean;
  /** How the body of a PATCH is meant. */
  readonly patch?: "merge" | "strategic" | "json";
}

const patchTypes = {
  merge: PatchStrategy.MergePatch,
  strategic: PatchStrategy.StrategicMergePatch,
  json: PatchStrategy.JsonPatch,
} as const;

function viaConnection(
  connection: Connection,
  signal: AbortSignal,
  { aboutTarget = false, patch }: Purpose = {},
): ConfigurationOptions {
  return {
    httpApi: wrapHttpLibrary({
      async send(context) {
        context.setHeaderParam("User-Agent", userAgent);
        if (patch !== undefined) {
          context.setHeaderParam("Content-Type", patchTypes[patch]);
        }
        const { pathname } = new URL(context.getUrl());
        const asked = { ...permissionOf(context.getHttpMethod(), pathname), aboutTarget };
        try {
          return await send(context, asked, signal);
        } catch (error) {
          if (error instanceof Unauthenticated && (await connection.renew(context))) {
            return send(context, asked, signal);
          }
          throw error;
        }
      },
    }),
  };
}

async function send(context: RequestContext, asked: Asked, signal: AbortSignal): Promise<ResponseContext> {
  const { status, headers, body } = await exchange(context, signal).catch((cause: unknown) => {
    throw lostError(asked, cause, signal);
  });
  if (status >= 300) {
    throw refusalError(asked, { status, body: body.toString(), retryAfter: headers["retry-after"] });
  }
  return new ResponseContext(status, headers, new SelfDecodingBody(Promise.resolve(body)));
}

async function exchange(context: RequestContext, signal: AbortSignal) {
  const dispatcher = context.getDispatcher();
  const answer = await request(context.getUrl(), {
    method: context.getHttpMethod(),
    headers: context.getHeaders(),
    body: context.getBody() as string | undefined,
    signal,
    ...(dispatcher === undefined ? {} : { dispatcher }),
  });
  const body = Buffer.from(await answer.body.arrayBuffer());
  return { status: answer.statusCode, headers: answer.headers as Record<string, string>, body };
}
