import { Document, Scalar, type ScalarTag, visit } from "yaml";
import { type ExactNumber, isExactNumber, type JsonValue } from "../events/json.ts";
import { withUnseenShown } from "../telemetry/logs.ts";

/** The value as JSON, for people and machines: every digit kept, nothing in it that a terminal obeys. */
export function jsonText(value: unknown): string {
  return withUnseenShown(JSON.stringify(value, undefined, 2));
}

/** The same as YAML. */
export function yamlText(value: unknown): string {
  const document = new Document(value, { customTags: (tags) => [exactNumber, ...tags], aliasDuplicateObjects: false });
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === "string" && withUnseenShown(node.value) !== node.value) {
        node.type = Scalar.QUOTE_DOUBLE;
      }
    },
  });
  return withUnseenShown(document.toString({ lineWidth: 0 }));
}

const exactNumber: ScalarTag = {
  tag: "tag:yaml.org,2002:float",
  default: true,
  test: /(?!)/,
  identify: (value) => typeof value === "object" && value !== null && isExactNumber(value as JsonValue),
  resolve: (text) => text,
  stringify: ({ value }) => (value as ExactNumber).rawJSON,
};
