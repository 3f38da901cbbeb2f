import type { ServerResponse } from "node:http";
import { type HttpPeer, httpPeer, type SeenRequest } from "./http-peer.ts";

type Json = Readonly<Record<string, unknown>>;

interface IndexTemplate {
  readonly index_patterns: readonly string[];
  readonly priority?: number;
  readonly data_stream?: object;
  readonly template?: { readonly mappings?: Mapping };
}

interface Mapping {
  readonly dynamic?: boolean;
  readonly type?: string;
  readonly ignore_above?: number;
  readonly ignore_malformed?: boolean;
  readonly properties?: Readonly<Record<string, Mapping>>;
}

export interface SearchEngine extends HttpPeer {
  /** By index or data stream, then id. */
  readonly documents: ReadonlyMap<string, ReadonlyMap<string, Json>>;
  readonly templates: ReadonlyMap<string, IndexTemplate>;
  /** Names that are data streams. */
  readonly dataStreams: ReadonlySet<string>;
  /** The fields that documents have added to indices, beyond their mappings. */
  readonly addedFields: readonly string[];
}

export interface SearchEngineTraits {
  /** The only Authorization header that is let in. */
  readonly authorization?: string;
  /** Nobody may see or create index templates. */
  readonly templatesForbidden?: boolean;
  readonly templates?: Readonly<Record<string, IndexTemplate>>;
}

const longestTerm = 32_766;

/**
 * As much of the REST API that Elasticsearch and OpenSearch have in common as Hallux uses, and strict about it: names of indices,
 * templates that overlap, types of fields, lengths of terms, data streams, ids that are taken.
 */
export async function searchEngine(traits: SearchEngineTraits = {}): Promise<SearchEngine> {
  const documents = new Map<string, Map<string, Json>>();
  const templates = new Map<string, IndexTemplate>(Object.entries(traits.templates ?? {}));
  const dataStreams = new Set<string>();
  const addedFields: string[] = [];

  const peer = await httpPeer((request, response) => {
    const fault = faultOf(request, traits);
    if (fault !== undefined) {
      return answer(response, fault);
    }
    const { pathname, searchParams } = new URL(request.url, "http://engine");
    const [index = "", endpoint = "", id = ""] = pathname.slice(1).split("/");
    if (index === "_index_template") {
      return answer(
        response,
        aboutTemplate(request, { name: endpoint, create: searchParams.get("create") === "true" }),
      );
    }
    return answer(response, endpoint === "_create" && request.method === "PUT" ? create(index, id, request) : notFound);
  });

  function aboutTemplate({ method, body }: SeenRequest, { name, create }: { name: string; create: boolean }): Fault {
    if (method === "HEAD") {
      return { status: templates.has(name) ? 200 : 404 };
    }
    const template: IndexTemplate = JSON.parse(body);
    const rival = [...templates].find(([, other]) => overlaps(other, template));
    if (create && (templates.has(name) || rival !== undefined)) {
      return invalid(`index template [${name}] already exists or overlaps with [${rival?.[0]}] at the same priority`);
    }
    templates.set(name, template);
    return { status: 200 };
  }

  function create(index: string, id: string, { body }: SeenRequest): Fault {
    const document: Json = JSON.parse(body);
    const template = templateFor(index, templates);
    const mapping = template?.template?.mappings ?? {};
    const misfit = misfitIn(document, mapping, { path: "", dynamic: mapping.dynamic ?? true, addedFields });
    const reason = nameFault(index, id) ?? streamFault(document, template) ?? (misfit && `failed to parse [${misfit}]`);
    if (reason !== undefined) {
      return invalid(reason);
    }
    if (template?.data_stream !== undefined) {
      dataStreams.add(index);
    }
    return store(index, id, document);
  }

  function store(index: string, id: string, document: Json): Fault {
    const stored = documents.get(index) ?? new Map<string, Json>();
    documents.set(index, stored);
    if (stored.has(id)) {
      return { status: 409, reason: "version conflict, document already exists" };
    }
    stored.set(id, document);
    return { status: 201 };
  }

  return { ...peer, documents, templates, dataStreams, addedFields };
}

interface Fault {
  readonly status: number;
  readonly reason?: string;
}

const notFound: Fault = { status: 404, reason: "no such index" };

function invalid(reason: string): Fault {
  return { status: 400, reason };
}

function faultOf({ url, headers, body }: SeenRequest, traits: SearchEngineTraits): Fault | undefined {
  if (traits.authorization !== undefined && headers.authorization !== traits.authorization) {
    return { status: 401, reason: "unable to authenticate" };
  }
  if (traits.templatesForbidden && url.startsWith("/_index_template/")) {
    return { status: 403, reason: "action [indices:admin/index_template] is unauthorized" };
  }
  return body !== "" && headers["content-type"] !== "application/json"
    ? { status: 406, reason: "Content-Type header is not supported" }
    : undefined;
}

function answer(response: ServerResponse, { status, reason }: Fault): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(reason === undefined ? "{}" : JSON.stringify({ error: { reason }, status }));
}

function templateFor(index: string, templates: ReadonlyMap<string, IndexTemplate>): IndexTemplate | undefined {
  return [...templates.values()]
    .filter(({ index_patterns: patterns }) => patterns.some((pattern) => matches(pattern, index)))
    .sort((one, other) => (other.priority ?? 0) - (one.priority ?? 0))[0];
}

function nameFault(index: string, id: string): string | undefined {
  const invalidName = /^[-_+.]|[\\/*?"<>| ,#:A-Z]/.test(index) || Buffer.byteLength(index) > 255;
  return invalidName || Buffer.byteLength(id) > 512 ? `invalid index name or id [${index}/${id}]` : undefined;
}

function streamFault(document: Json, template: IndexTemplate | undefined): string | undefined {
  const untimed = template?.data_stream !== undefined && typeof document["@timestamp"] !== "string";
  return untimed ? "data stream timestamp field [@timestamp] is missing" : undefined;
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

function overlaps(one: IndexTemplate, other: IndexTemplate): boolean {
  const stem = (pattern: string) => pattern.replace(/\*$/, "");
  const samePriority = (one.priority ?? 0) === (other.priority ?? 0);
  return (
    samePriority &&
    one.index_patterns.some((left) =>
      other.index_patterns.some((right) => matches(left, stem(right)) || matches(right, stem(left))),
    )
  );
}

interface Place {
  readonly path: string;
  readonly dynamic: boolean;
  readonly addedFields: string[];
}

/** The first field that the mapping does not take. */
function misfitIn(value: unknown, mapping: Mapping, place: Place): string | undefined {
  if (Array.isArray(value)) {
    return firstOf(value, (item) => misfitIn(item, mapping, place));
  }
  if (typeof value !== "object" || value === null) {
    return fits(value, mapping) ? undefined : place.path;
  }
  return mapping.type === undefined
    ? firstOf(Object.entries(value), ([name, inner]) => misfitOf(inner, name, { mapping, place }))
    : place.path;
}

interface Within {
  readonly mapping: Mapping;
  readonly place: Place;
}

function misfitOf(value: unknown, name: string, { mapping, place }: Within): string | undefined {
  const path = place.path === "" ? name : `${place.path}.${name}`;
  const known = mapping.properties?.[name];
  if (name.split(".").includes("")) {
    return path;
  }
  if (known === undefined && !place.dynamic) {
    return undefined;
  }
  if (known === undefined && typeof value !== "object") {
    place.addedFields.push(path);
  }
  return misfitIn(value, known ?? {}, { ...place, path });
}

function firstOf<T>(items: readonly T[], find: (item: T) => string | undefined): string | undefined {
  return items.map(find).find((found) => found !== undefined);
}

function fits(
  value: unknown,
  { type, properties, ignore_above: longest, ignore_malformed: lenient }: Mapping,
): boolean {
  switch (type) {
    case undefined:
      return properties === undefined;
    case "keyword": {
      const text = String(value);
      return Buffer.byteLength(text) <= longestTerm || text.length > (longest ?? Number.POSITIVE_INFINITY);
    }
    case "date":
      return lenient || /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.test(String(value));
    case "long":
      return Number.isInteger(value);
    default:
      return true;
  }
}
