import { define, isObject, ownValue } from "./patch.ts";
import type { Json, JsonObject } from "./wire.ts";

/** Lists whose elements are merged by a key, as the Kubernetes types declare; all other lists are replaced. */
const mergeKeys: Readonly<Record<string, readonly string[]>> = {
  addresses: ["type"],
  conditions: ["type"],
  containers: ["name"],
  env: ["name"],
  ephemeralContainers: ["name"],
  hostAliases: ["ip"],
  imagePullSecrets: ["name"],
  initContainers: ["name"],
  ownerReferences: ["uid"],
  ports: ["containerPort", "port"],
  secrets: ["name"],
  topologySpreadConstraints: ["topologyKey"],
  volumeDevices: ["devicePath"],
  volumeMounts: ["mountPath"],
  volumes: ["name"],
};

/** Lists of plain values that are merged as sets. */
const sets = new Set(["finalizers"]);

const orderPrefix = "$setElementOrder/";
const deletePrefix = "$deleteFromPrimitiveList/";

/** The key by which a list of this name is merged, told by its elements where there is a choice. */
export function mergeKeyOf(field: string, elements: readonly Json[]): string | undefined {
  return mergeKeys[field]?.find((key) => elements.every((element) => isObject(element) && Object.hasOwn(element, key)));
}

/** A strategic merge patch with the directives that kubectl writes. */
export function strategicMerge(target: Json | undefined, patch: JsonObject): JsonObject {
  if (patch["$patch"] === "replace") {
    return withoutDirectives(patch);
  }
  const result: Record<string, Json | undefined> = { ...retained(isObject(target) ? target : {}, patch) };
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith(deletePrefix)) {
      const field = key.slice(deletePrefix.length);
      define(result, field, difference(ownValue(result, field), value));
    } else if (!key.startsWith("$")) {
      mergeField(result, key, value ?? null);
    }
  }
  return ordered(result, patch);
}

function mergeField(result: Record<string, Json | undefined>, key: string, value: Json): void {
  const current = ownValue(result, key);
  if (value === null || (isObject(value) && value["$patch"] === "delete")) {
    delete result[key];
  } else if (isObject(value)) {
    define(result, key, strategicMerge(current, value));
  } else if (Array.isArray(value)) {
    define(result, key, mergeList(key, Array.isArray(current) ? current : [], value));
  } else {
    define(result, key, value);
  }
}

function mergeList(field: string, current: readonly Json[], patch: readonly Json[]): Json {
  if (sets.has(field)) {
    return [...new Set([...current, ...patch])];
  }
  const elements = patch.filter((element) => !isReplaceDirective(element));
  const key = mergeKeyOf(field, elements);
  if (key === undefined || elements.length < patch.length) {
    return elements.map((element) => (isObject(element) ? withoutDirectives(element) : element));
  }
  return elements.reduce<readonly Json[]>((list, element) => mergeElement(list, element as JsonObject, key), current);
}

function mergeElement(list: readonly Json[], element: JsonObject, key: string): readonly Json[] {
  const same = (other: Json) => isObject(other) && other[key] === element[key];
  if (element["$patch"] === "delete") {
    return list.filter((other) => !same(other));
  }
  return list.some(same)
    ? list.map((other) => (same(other) ? strategicMerge(other, element) : other))
    : [...list, strategicMerge({}, element)];
}

function isReplaceDirective(element: Json): boolean {
  return isObject(element) && element["$patch"] === "replace" && Object.keys(element).length === 1;
}

function retained(target: JsonObject, patch: JsonObject): JsonObject {
  const keep = patch["$retainKeys"];
  return Array.isArray(keep)
    ? Object.fromEntries(Object.entries(target).filter(([key]) => keep.includes(key)))
    : target;
}

function difference(current: Json | undefined, remove: Json | undefined): Json {
  const gone = Array.isArray(remove) ? remove : [];
  return Array.isArray(current) ? current.filter((value) => !gone.includes(value)) : [];
}

/** `$setElementOrder/containers` gives the order; elements that it does not name stay behind. */
function ordered(result: Record<string, Json | undefined>, patch: JsonObject): JsonObject {
  for (const [directive, order] of Object.entries(patch)) {
    const field = directive.slice(orderPrefix.length);
    const list = ownValue(result, field);
    if (directive.startsWith(orderPrefix) && Array.isArray(order) && Array.isArray(list)) {
      define(result, field, inOrder(field, list, order));
    }
  }
  return result;
}

function inOrder(field: string, list: readonly Json[], order: readonly Json[]): Json {
  const key = mergeKeyOf(field, order);
  const identity = (element: Json) => (key !== undefined && isObject(element) ? element[key] : element);
  const wanted = order.map(identity);
  const rank = (element: Json) => {
    const position = wanted.indexOf(identity(element));
    return position === -1 ? wanted.length : position;
  };
  return list.toSorted((a, b) => rank(a) - rank(b));
}

function withoutDirectives(value: JsonObject): JsonObject {
  const kept = Object.entries(value).filter(([key, inner]) => !key.startsWith("$") && inner !== null);
  return Object.fromEntries(
    kept.map(([key, inner]) => [key, inner !== undefined && isObject(inner) ? withoutDirectives(inner) : inner]),
  );
}
