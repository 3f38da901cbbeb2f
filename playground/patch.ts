import { isDeepStrictEqual } from "node:util";
import { unprocessablePatch } from "./errors.ts";
import { isRecord, type Json, type JsonObject } from "./wire.ts";

/** RFC 7386: null removes, objects merge, the rest replaces. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) {
    return patch;
  }
  const result: Record<string, Json | undefined> = { ...(isObject(target) ? target : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || value === undefined) {
      delete result[key];
    } else {
      define(result, key, mergePatch(ownValue(result, key), value));
    }
  }
  return result;
}

/** RFC 6902. Throws 422. Like the server, `replace` may name a key that is not there yet. */
export function jsonPatch(target: JsonObject, operations: readonly JsonObject[]): Json {
  return operations.reduce<Json>(applyOperation, target);
}

function applyOperation(document: Json, operation: JsonObject): Json {
  const path = pointer(operation["path"]);
  switch (operation["op"]) {
    case "add":
      return change(document, path, (parent, key) => add(parent, key, operation["value"] ?? null));
    case "replace":
      return change(document, path, (parent, key) => put(parent, key, operation["value"] ?? null));
    case "remove":
      return change(document, path, take);
    case "copy":
      return change(document, path, (parent, key) => add(parent, key, read(document, pointer(operation["from"]))));
    case "move": {
      const from = pointer(operation["from"]);
      const value = read(document, from);
      return change(change(document, from, take), path, (parent, key) => add(parent, key, value));
    }
    case "test":
      return tested(document, path, operation["value"] ?? null);
    default:
      throw unprocessablePatch();
  }
}

function pointer(path: Json | undefined): readonly string[] {
  if (typeof path !== "string" || (path !== "" && !path.startsWith("/"))) {
    throw unprocessablePatch();
  }
  return path
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

type Container = Json[] | Record<string, Json | undefined>;

/** A copy of the document in which the container that holds the path's last key was changed. */
function change(document: Json, path: readonly string[], edit: (parent: Container, key: string) => void): Json {
  const copy = structuredClone(document);
  const key = path.at(-1);
  if (key === undefined) {
    throw unprocessablePatch();
  }
  const parent = read(copy, path.slice(0, -1));
  if (typeof parent !== "object" || parent === null) {
    throw unprocessablePatch();
  }
  edit(parent as Container, key);
  return copy;
}

function read(document: Json, path: readonly string[]): Json {
  let value: Json | undefined = document;
  for (const key of path) {
    value = childOf(value, key);
  }
  if (value === undefined) {
    throw unprocessablePatch();
  }
  return value;
}

/** Undefined where the map lacks it. */
function childOf(value: Json | undefined, key: string): Json | undefined {
  if (Array.isArray(value)) {
    return value[index(value, key)];
  }
  if (isObject(value)) {
    return ownValue(value, key);
  }
  throw unprocessablePatch();
}

function add(parent: Container, key: string, value: Json): void {
  if (Array.isArray(parent)) {
    parent.splice(key === "-" ? parent.length : index(parent, key, 1), 0, value);
  } else {
    define(parent, key, value);
  }
}

function put(parent: Container, key: string, value: Json): void {
  if (Array.isArray(parent)) {
    parent[index(parent, key)] = value;
  } else {
    define(parent, key, value);
  }
}

function take(parent: Container, key: string): void {
  if (Array.isArray(parent)) {
    parent.splice(index(parent, key), 1);
  } else if (Object.hasOwn(parent, key)) {
    delete parent[key];
  } else {
    throw unprocessablePatch();
  }
}

/** Like the server, it takes a key that is not there for null. */
function tested(document: Json, path: readonly string[], value: Json): Json {
  const key = path.at(-1);
  const found = key === undefined ? document : (childOf(read(document, path.slice(0, -1)), key) ?? null);
  if (!isDeepStrictEqual(found, value)) {
    throw unprocessablePatch();
  }
  return document;
}

function index(list: readonly Json[], key: string, beyond = 0): number {
  const position = /^(0|[1-9]\d*)$/.test(key) ? Number(key) : Number.NaN;
  if (!(position < list.length + beyond)) {
    throw unprocessablePatch();
  }
  return position;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return isRecord(value);
}

export function ownValue(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Sets a key as plain data, `__proto__` too. */
export function define(object: Record<string, Json | undefined>, key: string, value: Json): void {
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}
