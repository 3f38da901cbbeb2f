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
import type { Steps } from "./steps.ts";

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

/** Of a long list, read in parts: whole items, of this many characters together or a little more. */
export interface YamlListReading {
  /** The list's parts, in order; one that is not a list where the file is none. Empty where there are Problems. */
  readonly documents: readonly YamlDocument[];
  readonly problems: readonly Problem[];
}

const maxBytes = 4 * 1024 * 1024;
const partLength = 16 * 1024;
/** The library's measure: aliases used, times the aliases inside the most nested one. */
const maxAliases = 10_000;
const maxTextLength = 80;

/** Reads one YAML document (with merge keys, as Talon does) so that everything in it can be pointed at. */
export function readYaml(file: string, text: string): YamlReading {
  const size = Buffer.byteLength(text);
  if (size > maxBytes) {
    return failed([fileProblem(file, `the file is ${size} bytes long; at most ${maxBytes} are read`)]);
  }

  const source = parse(file, text);
  const problems = [...syntaxProblems(source), ...aliasProblems(source)];
  return problems.length > 0 ? failed(problems) : readTree(source);
}

/**
 * The same for a file that is a list, part by part: what the library holds of a text while it parses takes some 70 times its room, and
 * parsing cannot be interrupted. What is no list, and where a part is not whole by itself (an alias of an anchor above it), is read at once.
 */
export function* readYamlList(file: string, text: string): Steps<YamlListReading> {
  const parts = partsOf(text);
  const documents: YamlDocument[] = [];
  for (const part of parts.length > 1 ? parts : []) {
    const { document } = readYaml(file, part.text);
    if (document === undefined || !Array.isArray(document.value)) {
      return readWhole(file, text);
    }
    documents.push(linesDown(document, part.linesAbove));
    yield;
  }
  return documents.length > 0 ? { documents, problems: [] } : readWhole(file, text);
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

interface Part {
  readonly text: string;
  readonly linesAbove: number;
}

/** Divided where "- " stands at the left margin: each is an item where the first part is a list. Directives hold for all of a text. */
function partsOf(text: string): readonly Part[] {
  if (/(?<![^\n])(?:%|\.\.\.)/.test(text)) {
    return [{ text, linesAbove: 0 }];
  }
  const starts = [...text.matchAll(/(?<![^\n])- /g)].map(({ index }) => index);
  const parts: Part[] = [];
  let [start, linesAbove] = [0, 0];
  for (const end of [...starts, text.length]) {
    if (end - start >= partLength || end === text.length) {
      const part = text.slice(start, end);
      parts.push({ text: part, linesAbove });
      linesAbove += part.split("\n").length - 1;
      start = end;
    }
  }
  return parts;
}

function linesDown(document: YamlDocument, linesAbove: number): YamlDocument {
  return {
    ...document,
    locate(path, at) {
      const place = document.locate(path, at);
      return { ...place, line: place.line + linesAbove };
    },
  };
}

function readWhole(file: string, text: string): YamlListReading {
  const { document, problems } = readYaml(file, text);
  return { documents: document === undefined ? [] : [document], problems };
}

interface Source {
  readonly file: string;
  readonly text: string;
  readonly lines: LineCounter;
  readonly tree: Document.Parsed;
}

function parse(file: string, text: string): Source {
  const lines = new LineCounter();
  const tree = parseDocument(text, {
    merge: true,
    lineCounter: lines,
    prettyErrors: false,
    logLevel: "error",
    customTags: keepDigits,
  });
  return { file, text, lines, tree };
}

function failed(problems: readonly Problem[]): YamlReading {
  return { document: undefined, problems };
}

function readTree(source: Source): YamlReading {
  const { file, text } = source;
  try {
    return { document: createDocument(file, text, source.tree.toJS({ maxAliasCount: maxAliases })), problems: [] };
  } catch (error) {
    if (error instanceof ReferenceError) {
      return failed([fileProblem(source.file, "its aliases (*name) multiply without end")]);
    }
    throw error;
  }
}

/** Keeps the text and not its tree, which is many times as large and only wanted where there is something to tell. */
function createDocument(file: string, text: string, value: unknown): YamlDocument {
  let source: Source | undefined;
  return {
    file,
    value,
    locate(path, at = "value") {
      source ??= parse(file, text);
      return locate(source, path, at);
    },
  };
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
  const words = isIndentedByTab(source, start)
    ? { message: "not valid YAML: a tab stands in the indentation", hint: "indent by blanks" }
    : wordsFor(fault, place);
  return { file: source.file, ...place, ...words };
}

/** The parser takes what follows for something else, and says so. */
function isIndentedByTab({ text }: Source, start: number): boolean {
  const line = text.slice(text.slice(0, start).lastIndexOf("\n") + 1);
  return /^ *\t/.test(line);
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
