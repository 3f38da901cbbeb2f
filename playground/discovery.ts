import { groupVersionOf, type Resource, resources, type Subresource } from "./resources.ts";

const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const core = "";

/** Reviews are answered, not stored. */
const reviews = {
  group: "authorization.k8s.io",
  name: "selfsubjectaccessreviews",
  singular: "selfsubjectaccessreview",
  kind: "SelfSubjectAccessReview",
};

const groups = [...new Set([...resources.map(({ group }) => group), reviews.group])].filter((group) => group !== core);

const serverVersion = {
  major: "1",
  minor: "36",
  gitVersion: "v1.36.3",
  gitCommit: "",
  gitTreeState: "",
  buildDate: "1970-01-01T00:00:00Z",
  goVersion: "",
  compiler: "",
  platform: "playground",
};

/** The discovery document at a path, or undefined where there is none. `aggregated` is the newer form: all in one. */
export function discoveryAt(path: string, aggregated: boolean): object | undefined {
  switch (path) {
    case "/version":
      return serverVersion;
    case "/api":
      return aggregated
        ? aggregatedList([core])
        : { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] };
    case "/apis":
      return aggregated
        ? aggregatedList(groups)
        : { kind: "APIGroupList", apiVersion: "v1", groups: groups.map(apiGroup) };
    case "/api/v1":
      return resourceList(core);
    default:
      return underApis(path);
  }
}

function underApis(path: string): object | undefined {
  const [, root, group = "", version, ...rest] = path.split("/");
  if (root !== "apis" || !groups.includes(group) || rest.length > 0) {
    return undefined;
  }
  return version === undefined ? { kind: "APIGroup", apiVersion: "v1", ...apiGroup(group) } : resourceList(group);
}

function apiGroup(group: string) {
  const version = { groupVersion: `${group}/v1`, version: "v1" };
  return { name: group, versions: [version], preferredVersion: version };
}

function resourceList(group: string) {
  return {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: groupVersionOf({ group, version: "v1" }),
    resources: group === reviews.group ? [plainReview()] : of(group).flatMap(plainResources),
  };
}

function of(group: string): readonly Resource[] {
  return resources.filter((resource) => resource.group === group);
}

function plainReview() {
  const { name, singular, kind } = reviews;
  return { name, singularName: singular, namespaced: false, kind, verbs: ["create"] };
}

function plainResources(resource: Resource) {
  const { plural, singular, namespaced, kind, shortNames, categories, subresources } = resource;
  return [
    {
      name: plural,
      singularName: singular,
      namespaced,
      kind,
      verbs,
      ...(shortNames.length === 0 ? {} : { shortNames }),
      ...(categories.length === 0 ? {} : { categories }),
    },
    ...subresources.map((sub) => ({
      name: `${plural}/${sub.name}`,
      singularName: "",
      namespaced,
      ...subresource(sub),
    })),
  ];
}

function subresource({ kind, verbs: allowed, group, version }: Subresource) {
  return { kind, verbs: allowed, ...(group === undefined ? {} : { group, version }) };
}

function aggregatedList(names: readonly string[]) {
  return {
    kind: "APIGroupDiscoveryList",
    apiVersion: "apidiscovery.k8s.io/v2",
    metadata: {},
    items: names.map((group) => ({
      metadata: group === core ? {} : { name: group },
      versions: [
        {
          version: "v1",
          resources: group === reviews.group ? [aggregatedReview()] : of(group).map(aggregatedResource),
          freshness: "Current",
        },
      ],
    })),
  };
}

function aggregatedReview() {
  const { name, singular, kind } = reviews;
  const responseKind = { group: "", version: "", kind };
  return { resource: name, responseKind, scope: "Cluster", singularResource: singular, verbs: ["create"] };
}

function aggregatedResource(resource: Resource) {
  const { group, version, plural, singular, namespaced, kind, shortNames, categories, subresources } = resource;
  return {
    resource: plural,
    responseKind: { group, version, kind },
    scope: namespaced ? "Namespaced" : "Cluster",
    singularResource: singular,
    verbs,
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(categories.length === 0 ? {} : { categories }),
    subresources: subresources.map((sub) => ({
      subresource: sub.name,
      responseKind: { group: sub.group ?? group, version: sub.version ?? version, kind: sub.kind },
      verbs: sub.verbs,
    })),
  };
}
