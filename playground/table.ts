import type { Resource } from "./resources.ts";
import type { JsonObject, KubeObject } from "./wire.ts";

export type Include = "None" | "Metadata" | "Object";

/** What `kubectl get` prints; the headings stand in the first table of a watch only. */
export function tableOf(
  resource: Resource,
  objects: readonly KubeObject[],
  metadata: JsonObject,
  options: { readonly include: Include; readonly headings: boolean },
) {
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata,
    columnDefinitions: options.headings
      ? resource.columns.map(({ name, type, format, priority }) => ({ name, type, format, description: "", priority }))
      : [],
    rows: objects.map((object) => ({
      cells: resource.columns.map((column) => column.cell(object)),
      object: included(object, options.include),
    })),
  };
}

function included(object: KubeObject, include: Include) {
  switch (include) {
    case "None":
      return null;
    case "Object":
      return object;
    case "Metadata":
      return { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: object.metadata };
  }
}
