import { isDeepStrictEqual } from "node:util";
import { decodeObject, nameOf } from "./decode.ts";
import { ApiError, badRequest } from "./errors.ts";
import { create, type Key, type Update, update } from "./objects.ts";
import { define, isObject, ownValue } from "./patch.ts";
import { groupVersionOf } from "./resources.ts";
import type { Store } from "./store.ts";
import { mergeKeyOf, strategicMerge } from "./strategic.ts";
import type { Json, JsonObject, KubeObject } from "./wire.ts";

export interface Apply extends Omit<Update, "by"> {
  readonly manager: string;
  readonly force: boolean;
}

/** A field: keys from the top, and for elements of merged lists `[name="web"]`. */
type Path = readonly (string | { readonly key: string; readonly value: Json })[];
type Fields = ReadonlyMap<string, { readonly path: Path; readonly value: Json }>;

/**
 * Server-side apply, simplified: it remembers what each manager applied last, takes away what a manager no longer applies
 * and refuses to change what another manager applied. Fields written by other means have no owner.
 */
export class ServerSideApply {
  readonly #store: Store;
  /** By UID and manager. */
  readonly #applied = new Map<string, Map<string, Fields>>();

  constructor(store: Store) {
    this.#store = store;
    store.subscribe(({ type, object }) => {
      if (type === "DELETED") {
        this.#applied.delete(object.metadata.uid);
      }
    });
  }

  apply(key: Key, given: JsonObject, options: Apply): { readonly object: KubeObject; readonly created: boolean } {
    refuseOtherType(key, given);
    const sent = decodeObject(key.resource, given, options.strict);
    const current = this.#store.get(key.resource, key.namespace, key.name);
    const fields = fieldsOf(content(sent));
    if (current === undefined) {
      const object = create(this.#store, key, sent, options);
      this.#remember(object, options, fields);
      return { object, created: true };
    }
    this.#refuseConflicts(current, options, fields);
    const merged = strategicMerge(this.#without(current, options.manager, fields), content(sent));
    const object = update(this.#store, key, merged, { ...options, by: "patch" });
    this.#remember(object, options, fields);
    return { object, created: false };
  }

  #remember({ metadata }: KubeObject, { manager, dryRun }: Apply, fields: Fields): void {
    if (!dryRun) {
      const managers = this.#applied.get(metadata.uid) ?? new Map<string, Fields>();
      this.#applied.set(metadata.uid, managers.set(manager, fields));
    }
  }

  #others({ metadata }: KubeObject, manager: string): readonly (readonly [string, Fields])[] {
    return [...(this.#applied.get(metadata.uid) ?? [])].filter(([other]) => other !== manager);
  }

  #refuseConflicts(current: KubeObject, { manager, force }: Apply, fields: Fields): void {
    const live = fieldsOf(current as unknown as JsonObject);
    const conflicts = this.#others(current, manager).flatMap(([other, owned]) =>
      [...fields]
        .filter(([path, { value }]) => owned.has(path) && !isDeepStrictEqual(live.get(path)?.value, value))
        .map(([path]) => ({ reason: "FieldManagerConflict", message: `conflict with "${other}"`, field: path })),
    );
    if (conflicts.length > 0 && !force) {
      throw applyConflict(conflicts);
    }
  }

  /** The object less what the manager applied before, does not apply now and nobody else applies. */
  #without(current: KubeObject, manager: string, fields: Fields): JsonObject {
    const others = this.#others(current, manager);
    const before = this.#applied.get(current.metadata.uid)?.get(manager) ?? new Map();
    return [...before]
      .filter(([path]) => !fields.has(path) && !others.some(([, owned]) => owned.has(path)))
      .reduce<JsonObject>(
        (object, [, { path }]) => removeAt(object, path) as JsonObject,
        current as unknown as JsonObject,
      );
  }
}

function applyConflict(
  conflicts: readonly { readonly message: string; readonly field: string; readonly reason: string }[],
) {
  const [first] = conflicts;
  const message =
    conflicts.length === 1
      ? `Apply failed with 1 conflict: ${first?.message}: ${first?.field}`
      : `Apply failed with ${conflicts.length} conflicts: ${conflicts.map(({ message: text, field }) => `${text}: ${field}`).join("\n- ")}`;
  return new ApiError(409, "Conflict", message, { causes: conflicts });
}

function refuseOtherType({ resource, name }: Key, given: JsonObject): void {
  if (given["apiVersion"] !== groupVersionOf(resource) || given["kind"] !== resource.kind) {
    const version = typeof given["apiVersion"] === "string" ? given["apiVersion"] : "/";
    throw badRequest(`invalid object type: ${version}, Kind=${String(given["kind"] ?? "")}`);
  }
  const own = nameOf(given);
  if (own !== "" && own !== name) {
    throw badRequest(`the name of the object (${own}) does not match the name on the URL (${name})`);
  }
}

/** What can have an owner: not the type, nor the name. */
function content(sent: JsonObject): JsonObject {
  const { apiVersion: _version, kind: _kind, ...rest } = sent;
  const metadata = isObject(rest["metadata"]) ? rest["metadata"] : {};
  const { name: _name, namespace: _namespace, ...owned } = metadata;
  return { ...rest, metadata: owned };
}

function fieldsOf(object: JsonObject): Fields {
  const fields: Collected = new Map();
  collect(object, [], fields);
  return fields;
}

type Collected = Map<string, { readonly path: Path; readonly value: Json }>;

function collect(value: Json, path: Path, fields: Collected): void {
  const listKey = listKeyOf(value, path.at(-1));
  if (listKey !== undefined) {
    for (const element of value as readonly JsonObject[]) {
      collect(element, [...path, { key: listKey, value: element[listKey] ?? null }], fields);
    }
  } else if (isObject(value)) {
    for (const [key, inner] of Object.entries(value)) {
      collect(inner ?? null, [...path, key], fields);
    }
  } else {
    fields.set(pathText(path), { path, value });
  }
}

function listKeyOf(value: Json, field: Path[number] | undefined): string | undefined {
  return Array.isArray(value) && typeof field === "string" ? mergeKeyOf(field, value) : undefined;
}

function pathText(path: Path): string {
  return path
    .map((step) => (typeof step === "string" ? `.${step}` : `[${step.key}=${JSON.stringify(step.value)}]`))
    .join("");
}

function removeAt(value: Json | undefined, [step, ...rest]: Path): Json | undefined {
  if (step === undefined || value === undefined) {
    return undefined;
  }
  if (typeof step === "string") {
    return isObject(value) ? removeKey(value, step, rest) : value;
  }
  return Array.isArray(value) ? value.map((element) => removeInElement(element, step, rest)).filter(isPresent) : value;
}

function removeKey(object: JsonObject, key: string, rest: Path): JsonObject {
  const { [key]: _removed, ...others } = object;
  const inner = removeAt(ownValue(object, key), rest);
  if (inner === undefined) {
    return others;
  }
  const result = { ...others };
  define(result, key, inner);
  return result;
}

/** An element of which only its key is removed goes as a whole. */
function removeInElement(element: Json, step: { key: string; value: Json }, rest: Path): Json | undefined {
  if (!isObject(element) || element[step.key] !== step.value) {
    return element;
  }
  return rest[0] === step.key ? undefined : removeAt(element, rest);
}

function isPresent<T>(value: T | undefined): value is T {
  return value !== undefined;
}
