/** What the API server answers when it says no, in its own words. */
export interface Cause {
  readonly reason?: string;
  readonly message: string;
  readonly field?: string;
}

export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly Cause[];
  readonly retryAfterSeconds?: number;
}

export interface Status {
  readonly kind: "Status";
  readonly apiVersion: "v1";
  readonly metadata: Readonly<Record<string, never>>;
  readonly status: "Success" | "Failure";
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code?: number;
}

/** As errors name it: `deployments` of group `apps`. */
export interface Named {
  readonly group: string;
  readonly plural: string;
  readonly kind: string;
}

export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: number;
  readonly status: Status;

  constructor(code: number, reason: string | undefined, message: string, details?: StatusDetails) {
    super(message);
    this.code = code;
    this.status = {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message,
      ...(reason === undefined ? {} : { reason }),
      ...(details === undefined ? {} : { details }),
      code,
    };
  }
}

export function success(details: StatusDetails): Status {
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details };
}

export function badRequest(message: string): ApiError {
  return new ApiError(400, "BadRequest", message);
}

export function unauthorized(): ApiError {
  return new ApiError(401, "Unauthorized", "Unauthorized");
}

export function forbidden(resource: Named, name: string, message: string, causes?: readonly Cause[]): ApiError {
  const subject = name === "" ? `${qualified(resource)} is forbidden` : `${qualified(resource)} "${name}" is forbidden`;
  const details = { ...identity(resource, name), ...(causes === undefined ? {} : { causes }) };
  return new ApiError(403, "Forbidden", `${subject}: ${message}`, details);
}

export function notFound(resource: Named, name: string): ApiError {
  return new ApiError(404, "NotFound", `${qualified(resource)} "${name}" not found`, identity(resource, name));
}

export function unknownPath(): ApiError {
  return new ApiError(404, "NotFound", "the server could not find the requested resource", {});
}

export function methodNotAllowed(): ApiError {
  const message = "the server does not allow this method on the requested resource";
  return new ApiError(405, "MethodNotAllowed", message, {});
}

export function notAcceptable(): ApiError {
  const message =
    "only the following media types are accepted: application/json, application/yaml, application/json;stream=watch";
  return new ApiError(406, "NotAcceptable", message);
}

export function alreadyExists(resource: Named, name: string, prefix = ""): ApiError {
  const message = `${prefix}${qualified(resource)} "${name}" already exists`;
  return new ApiError(409, "AlreadyExists", message, identity(resource, name));
}

export function modified(resource: Named, name: string): ApiError {
  return conflict(
    resource,
    name,
    "the object has been modified; please apply your changes to the latest version and try again",
  );
}

export function conflict(resource: Named, name: string, message: string): ApiError {
  const text = `Operation cannot be fulfilled on ${qualified(resource)} "${name}": ${message}`;
  return new ApiError(409, "Conflict", text, identity(resource, name));
}

/** Deletions name the kind where updates name the resource. */
export function preconditionFailed(resource: Named, name: string, message: string): ApiError {
  const kind = qualifiedKind(resource);
  const details = { name, ...(resource.group === "" ? {} : { group: resource.group }), kind: resource.kind };
  return new ApiError(409, "Conflict", `Operation cannot be fulfilled on ${kind} "${name}": ${message}`, details);
}

export function expired(message: string): ApiError {
  return new ApiError(410, "Expired", message);
}

export function tooLarge(limit: number): ApiError {
  return new ApiError(413, "RequestEntityTooLarge", `Request entity too large: limit is ${limit}`);
}

export function unsupportedBody(): ApiError {
  const message =
    "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf";
  return new ApiError(415, "UnsupportedMediaType", message);
}

export function unsupportedPatch(): ApiError {
  return new ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {});
}

export function invalid(
  kind: { readonly kind: string; readonly group: string },
  name: string,
  causes: readonly Cause[],
) {
  const texts = causes.map(({ field, message }) => `${field}: ${message}`);
  const list = texts.length === 1 ? texts[0] : `[${texts.join(", ")}]`;
  return new ApiError(422, "Invalid", `${qualifiedKind(kind)} "${name}" is invalid: ${list}`, {
    ...(name === "" ? {} : { name }),
    ...(kind.group === "" ? {} : { group: kind.group }),
    ...(kind.kind === "" ? {} : { kind: kind.kind }),
    causes,
  });
}

/** The apply library's refusals of a JSON patch carry no words of their own. */
export function unprocessablePatch(): ApiError {
  return new ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {});
}

export function qualified({ plural, group }: Pick<Named, "plural" | "group">): string {
  return group === "" ? plural : `${plural}.${group}`;
}

function qualifiedKind({ kind, group }: Pick<Named, "kind" | "group">): string {
  return group === "" ? kind : `${kind}.${group}`;
}

function identity({ plural, group }: Named, name: string): StatusDetails {
  return { ...(name === "" ? {} : { name }), ...(group === "" ? {} : { group }), kind: plural };
}
