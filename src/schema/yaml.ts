import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  parseDocument,
  type ScalarTag,
  type Tags,
  visit,
  type YAMLError,
  type YAMLMap,
} from "yaml";
import type { Problem } from "./problem.ts";

/** Keys and list positions, from the top of the document. */
export type Path = readonly (string | number)[];

export interface Place {
  /** 1-based. */
  readonly line: number;
  readonly column: number;
  /** What stands there, its first line, shortened. */
  readonly text: string | undefined;
}

export interface YamlDocument {
  readonly file: string;
  /** Plain data; null where the document is empty. A number whose digits JavaScript would change is its text. */
  readonly value: unknown;
  /** Where the path's value stands, or its key; for a path that does not exist, its nearest parent. */
  locate(path: Path, at?: "key" | "value"): Place;
}

export type YamlReading =
  | { readonly document: YamlDocument; readonly problems: readonly [] }
  | { readonly document: undefined; readonly problems: readonly Problem[] };

const maxBytes = 4 * 1024 * 1024;
/** The library's measure: aliases used, times the aliases inside the most nested one. */
const maxAliases = 10_000;
const maxTextLength = 80;

/** Reads one YAML document (with merge keys, as Talon does) so that everything in it can be pointed at. */
export function readYaml(file: string, text: string): YamlReading {
  const size = Buffer.byteLength(text);
  if (size > maxBytes) {
    return failed([fileProblem(file, `the file is ${size} bytes long; at most ${maxBytes} are read`)]);
  }

  const lines = new LineCounter();
  const tree = parseDocument(text, {
    merge: true,
    lineCounter: lines,
    prettyErrors: false,
    logLevel: "error",
    customTags: keepDigits,
  });
  const source = { file, text, lines, tree };
  const problems = [...syntaxProblems(source), ...aliasProblems(source)];
  return problems.length > 0 ? failed(problems) : readTree(source);
}

/** The Problem at a path of the document. */
export function problemAt(
  document: YamlDocument,
  path: Path,
  fault: {
    readonly message: string;
    readonly hint?: string | undefined;
    readonly at?: "key" | "value" | undefined;
  },
): Problem {
  return { file: document.file, ...document.locate(path, fault.at), message: fault.message, hint: fault.hint };
}

/** The Problem of a file as a whole. */
export function fileProblem(file: string, message: string, hint?: string): Problem {
  return { file, line: undefined, column: undefined, message, text: undefined, hint };
}

interface Source {
  readonly file: string;
  readonly text: string;
  readonly lines: LineCounter;
  readonly tree: Document.Parsed;
}

function failed(problems: readonly Problem[]): YamlReading {
  return { document: undefined, problems };
}

function readTree(source: Source): YamlReading {
  try {
    const value: unknown = source.tree.toJS({ maxAliasCount: maxAliases });
    return {
      document: { file: source.file, value, locate: (path, at = "value") => locate(source, path, at) },
      problems: [],
    };
  } catch (error) {
    if (error instanceof ReferenceError) {
      return failed([fileProblem(source.file, "its aliases (*name) multiply without end")]);
    }
    throw error;
  }
}

function keepDigits(tags: Tags): Tags {
  return tags.map((tag) =>
    typeof tag === "object" && /:(int|float)$/.test(tag.tag) ? withDigits(tag as ScalarTag) : tag,
  );
}

function withDigits(tag: ScalarTag): ScalarTag {
  return {
    ...tag,
    resolve: (text, onError, options) => {
      const resolved = tag.resolve(text, onError, options);
      const value = isScalar(resolved) ? resolved.value : resolved;
      return typeof value === "number" && String(value) !== text ? text : resolved;
    },
  };
}

/** One per line: what follows on the same line is the echo of the first. */
function syntaxProblems(source: Source): readonly Problem[] {
  const faults = [...source.tree.errors, ...source.tree.warnings].sort((a, b) => a.pos[0] - b.pos[0]);
  const exhausted = faults.find(({ code }) => code === "RESOURCE_EXHAUSTION");
  const told = exhausted === undefined ? faults : [exhausted];
  const lineOf = (fault: YAMLError) => source.lines.linePos(fault.pos[0]).line;
  return told
    .filter((fault, index) => index === 0 || lineOf(fault) !== lineOf(told[index - 1] ?? fault))
    .map((fault) => syntaxProblem(source, fault));
}

function syntaxProblem(source: Source, fault: YAMLError): Problem {
  const [start] = fault.pos;
  const place = placeOf(source, [start, start + maxTextLength + 1]);
  return { file: source.file, ...place, ...wordsFor(fault, place) };
}

/** Without values that stand there, as the library would tell them: it may be a secret that lacks its quotes. */
function wordsFor(fault: YAMLError, { text }: Place): Pick<Problem, "message" | "hint"> {
  switch (fault.code) {
    case "DUPLICATE_KEY":
      return { message: `key "${text?.split(":", 1)[0]?.trim()}" is given twice`, hint: undefined };
    case "MULTIPLE_DOCS":
      return { message: "a second YAML document begins here", hint: "put everything into one document, without ---" };
    case "RESOURCE_EXHAUSTION":
      return { message: "nested too deeply", hint: undefined };
    case "TAG_RESOLVE_FAILED":
      return { message: "not valid YAML: unknown tag", hint: "a text that begins with ! needs quotes" };
    case "BAD_DIRECTIVE":
      return { message: "not valid YAML: unknown directive", hint: undefined };
    case "BAD_DQ_ESCAPE":
      return { message: "not valid YAML: invalid escape sequence", hint: "write a backslash as \\\\" };
    case "UNEXPECTED_TOKEN":
      return { message: `not valid YAML: ${fault.message.split(": ", 1)[0]}`, hint: undefined };
    default:
      return { message: `not valid YAML: ${fault.message}`, hint: undefined };
  }
}

function aliasProblems(source: Source): readonly Problem[] {
  const problems: Problem[] = [];
  const anchors = new Set<string>();
  visit(source.tree, {
    Node(_key, node, path) {
      const fault = isAlias(node) ? aliasFault(node.source, anchors, path) : undefined;
      if (fault !== undefined) {
        problems.push({ file: source.file, ...placeOf(source, rangeOf(node) ?? [0, 0]), ...fault });
      }
      if (!isAlias(node) && node.anchor !== undefined) {
        anchors.add(node.anchor);
      }
    },
  });
  return problems;
}

function aliasFault(
  name: string,
  anchors: ReadonlySet<string>,
  parents: readonly unknown[],
): Pick<Problem, "message" | "hint"> | undefined {
  if (!anchors.has(name)) {
    return {
      message: "no anchor of this name stands before the alias",
      hint: "a text that begins with * needs quotes",
    };
  }
  const inside = parents.some((parent) => isCollection(parent) && parent.anchor === name);
  return inside ? { message: `this alias stands inside its own anchor &${name}`, hint: undefined } : undefined;
}

function placeOf({ text, lines }: Source, [start, end]: readonly [number, number]): Place {
  const { line, col } = lines.linePos(start);
  const [first = ""] = text.slice(start, end).split(/\r?\n/, 1);
  const shown = first.length > maxTextLength ? `${first.slice(0, maxTextLength)}…` : first.trimEnd();
  return { line, column: col, text: shown === "" ? undefined : shown };
}

interface Found {
  readonly key: unknown;
  readonly value: unknown;
}

function locate(source: Source, path: Path, at: "key" | "value"): Place {
  let found: Found = { key: undefined, value: source.tree.contents };
  for (const segment of path) {
    const next = childOf(source.tree, found.value, segment);
    if (next === undefined) {
      break;
    }
    found = next;
  }
  const range = rangeOf(at === "key" ? (found.key ?? found.value) : found.value) ?? rangeOf(found.key);
  return placeOf(source, range ?? [0, 0]);
}

/** Undefined for what takes no room in the text: an empty value. */
function rangeOf(node: unknown): readonly [number, number] | undefined {
  if (!isNode(node) || !node.range || node.range[0] === node.range[1]) {
    return undefined;
  }
  return [node.range[0], node.range[1]];
}

function childOf(tree: Document.Parsed, parent: unknown, segment: string | number): Found | undefined {
  const node = isAlias(parent) ? parent.resolve(tree) : parent;
  if (isSeq(node) && typeof segment === "number") {
    return segment < node.items.length ? { key: undefined, value: node.items[segment] } : undefined;
  }
  return isMap(node) ? (pairOf(node, String(segment)) ?? mergedPairOf(tree, node, segment)) : undefined;
}

function pairOf(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((pair) => isScalar(pair.key) && typeof pair.key.value !== "symbol" && keyOf(pair) === key);
}

function keyOf({ key }: Pair): string {
  return isScalar(key) ? String(key.value ?? "") : "";
}

function mergedPairOf(tree: Document.Parsed, map: YAMLMap, segment: string | number): Found | undefined {
  const sources = map.items
    .filter(({ key }) => isScalar(key) && typeof key.value === "symbol")
    .flatMap(({ value }) => (isSeq(value) ? value.items : [value]));
  for (const source of sources) {
    const found = childOf(tree, source, segment);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}
