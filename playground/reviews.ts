import { parseBody } from "./decode.ts";
import { methodNotAllowed } from "./errors.ts";
import type { Faults } from "./faults.ts";
import type { Address, ApiRequest } from "./request.ts";
import { at, recordAt, textAt } from "./wire.ts";

/** Whether a path asks for a SelfSubjectAccessReview, which is answered and not stored. Throws 405. */
export function isReview({ group, version, plural, name }: Address): boolean {
  if (group !== "authorization.k8s.io" || version !== "v1" || plural !== "selfsubjectaccessreviews") {
    return false;
  }
  if (name !== undefined) {
    throw methodNotAllowed();
  }
  return true;
}

/** Everyone may do everything but what a fault answers with 403. */
export function review(
  faults: Faults,
  request: { readonly body: Buffer; readonly contentType: string },
  user: string,
): object {
  const asked = parseBody(request.body, request.contentType, "");
  const spec = recordAt(asked, "spec");
  const denied = at(spec, "resourceAttributes") !== undefined && faults.denies(requestOf(spec, user));
  return {
    kind: "SelfSubjectAccessReview",
    apiVersion: "authorization.k8s.io/v1",
    metadata: {},
    spec,
    status: denied ? { allowed: false } : { allowed: true },
  };
}

function requestOf(spec: unknown, user: string): ApiRequest {
  const text = (key: string) => textAt(spec, "resourceAttributes", key);
  return {
    verb: text("verb") ?? "",
    group: text("group") ?? "",
    version: text("version") ?? "v1",
    resource: text("resource") ?? "",
    subresource: text("subresource") || undefined,
    namespace: text("namespace") || undefined,
    name: text("name") || undefined,
    user,
    dryRun: false,
  };
}
