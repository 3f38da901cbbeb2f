import { badRequest } from "./errors.ts";
import { at, type KubeObject, type LabelSelector } from "./wire.ts";

type Labels = Readonly<Record<string, string>>;
export type Matches = (object: KubeObject) => boolean;

interface Requirement {
  readonly key: string;
  readonly operator: string;
  readonly values: readonly string[];
}

/** `app=web,tier in (a,b),!canary` as in the query `labelSelector`. Throws 400 as the server does. */
export function labelsMatch(selector: string): Matches {
  const requirements = new Parser(selector).requirements();
  return ({ metadata }) => requirements.every((requirement) => holds(requirement, metadata.labels ?? {}));
}

/** The selector of a workload or a NetworkPolicy; empty selects everything. */
export function selects(selector: LabelSelector, labels: Labels): boolean {
  const equal = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return (
    equal &&
    (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) =>
      holds({ key, operator: expressionOperators[operator] ?? operator, values }, labels),
    )
  );
}

const expressionOperators: Readonly<Record<string, string>> = {
  In: "in",
  NotIn: "notin",
  Exists: "exists",
  DoesNotExist: "absent",
};

/** `metadata.name=x,status.phase!=Running`; `fields` are those the resource supports besides its name and namespace. */
export function fieldsMatch(selector: string, fields: readonly string[]): Matches {
  const terms = selector
    .split(",")
    .filter((term) => term !== "")
    .map((term) => fieldTerm(term, fields));
  return (object) => terms.every(({ path, value, negate }) => (fieldText(object, path) === value) !== negate);
}

function fieldTerm(term: string, fields: readonly string[]) {
  const found = /^([^=!]+)(==|!=|=)(.*)$/.exec(term);
  if (found === null) {
    throw badRequest(`invalid selector: '${term}'; can't understand '${term}'`);
  }
  const [, path = "", operator, value = ""] = found;
  if (path !== "metadata.name" && path !== "metadata.namespace" && !fields.includes(path)) {
    throw badRequest(unsupportedField(path, fields));
  }
  return { path: path.split("."), value, negate: operator === "!=" };
}

function unsupportedField(path: string, fields: readonly string[]): string {
  return fields.length === 0
    ? `"${path}" is not a known field selector: only "metadata.name", "metadata.namespace"`
    : `field label not supported: ${path}`;
}

function fieldText(object: KubeObject, path: readonly string[]): string {
  const value = at(object, ...path);
  return value === undefined || value === null ? String(path.at(-1) === "unschedulable" ? false : "") : String(value);
}

function holds({ key, operator, values }: Requirement, labels: Labels): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case "exists":
      return value !== undefined;
    case "absent":
      return value === undefined;
    case "in":
      return value !== undefined && values.includes(value);
    case "notin":
      return value === undefined || !values.includes(value);
    case "gt":
      return value !== undefined && Number(value) > Number(values[0]);
    default:
      return value !== undefined && Number(value) < Number(values[0]);
  }
}

class Parser {
  readonly #tokens: string[];

  constructor(text: string) {
    this.#tokens = text.match(/!=|==|[=!(),<>]|[^\s=!(),<>]+/g) ?? [];
  }

  requirements(): readonly Requirement[] {
    const found: Requirement[] = [];
    if (this.#tokens.length > 0) {
      this.#expectStart("!, identifier, or 'end of string'");
    }
    while (this.#tokens.length > 0) {
      found.push(this.#requirement());
      const next = this.#tokens.shift();
      if (next === ",") {
        this.#expectStart("identifier after ','");
      } else if (next !== undefined) {
        throw refused(next, "',' or 'end of string'");
      }
    }
    return found;
  }

  #expectStart(expected: string): void {
    const [next = ""] = this.#tokens;
    if (next !== "!" && !isIdentifier(next)) {
      throw refused(next, expected);
    }
  }

  #requirement(): Requirement {
    if (this.#tokens[0] === "!") {
      this.#tokens.shift();
      return { key: this.#identifier(), operator: "absent", values: [] };
    }
    const key = this.#identifier();
    const operator = this.#tokens[0];
    if (operator === undefined || operator === ",") {
      return { key, operator: "exists", values: [] };
    }
    this.#tokens.shift();
    return this.#comparison(key, operator);
  }

  #comparison(key: string, operator: string): Requirement {
    switch (operator) {
      case "=":
      case "==":
        return { key, operator: "in", values: [this.#value()] };
      case "!=":
        return { key, operator: "notin", values: [this.#value()] };
      case "in":
      case "notin":
        return { key, operator, values: this.#set() };
      case "gt":
      case ">":
        return { key, operator: "gt", values: [this.#value()] };
      case "lt":
      case "<":
        return { key, operator: "lt", values: [this.#value()] };
      default:
        throw unparsed(operator, ", expected: in, notin, =, ==, !=, gt, lt");
    }
  }

  #identifier(): string {
    const token = this.#tokens.shift() ?? "";
    if (!isIdentifier(token)) {
      throw unparsed(token, ", expected: identifier");
    }
    return token;
  }

  /** May be empty: `app=`. */
  #value(): string {
    const next = this.#tokens[0];
    return next === undefined || next === "," ? "" : this.#identifier();
  }

  #set(): readonly string[] {
    const open = this.#tokens.shift() ?? "";
    if (open !== "(") {
      throw unparsed(open, " expected: '('");
    }
    const values = [this.#identifier()];
    for (let next = this.#tokens.shift(); next !== ")"; next = this.#tokens.shift()) {
      if (next !== ",") {
        throw unparsed(next ?? "", ", expected: ',' or ')'");
      }
      values.push(this.#identifier());
    }
    return values;
  }
}

function isIdentifier(token: string): boolean {
  return /^[^=!(),<>]+$/.test(token);
}

function refused(found: string, expected: string) {
  return badRequest(`found '${found}', expected: ${expected}`);
}

function unparsed(found: string, expected: string) {
  return badRequest(`unable to parse requirement: found '${found}'${expected}`);
}
