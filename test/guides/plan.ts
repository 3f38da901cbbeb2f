/** Pages of which each goes on where the one before ended, in the order in which a reader has them. Every other page begins afresh. */
export const journeys: readonly (readonly string[])[] = [
  ["docs/install.md", "docs/first-rule.md", "docs/enforce.md", "docs/upgrade.md", "docs/cloud-permissions.md"],
];

/** Commands that no test runs. Whoever adds one says why. */
export const notRun: readonly { readonly command: RegExp; readonly because: string }[] = [
  { command: /^docker /, because: "needs a container engine; test/image runs what the Dockerfile puts together" },
  { command: /^npm (ci && npm )?test\b/, because: "this is what runs here" },
  { command: /^helm .*\bfalcosecurity\b/, because: "Falco's chart would have to be fetched" },
  { command: /^gcloud /, because: "needs an account of Google Cloud" },
  { command: /^aws eks /, because: "needs a cluster of EKS" },
  { command: /^kubectl debug /, because: "needs the image of a tool" },
  { command: /^kubectl exec -n default deploy\/some-app /, because: "stands for a workload of the reader's" },
];

/** Where a reader is: on a machine of their own, so to speak. */
export interface Place {
  /** Stands for the root of the file system. */
  readonly root: string;
  readonly port: number;
}

export interface Substitution {
  readonly what: RegExp;
  readonly by: string;
  readonly because: string;
}

const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const newest = "$(hallux responses list -c $1 -o json --limit 1 2>/dev/null | jq -r '.[0].id')".replaceAll("$(", "$$(");
const own = "the machine that tests run on keeps its own";
const beside = "the pod's Hallux runs beside the cluster, on that port";

/** What is written otherwise than in the page before it is run, one after another; all else is run word for word. */
export function substitutionsAt({ root, port }: Place): readonly Substitution[] {
  return [
    {
      what: new RegExp(`\\bresponses show -c (\\S+) (<id>|${uuid})`, "g"),
      by: `responses show -c $1 ${newest}`,
      because: "a reader takes one from the list above",
    },
    { what: /(?<=NAMESPACE |")POD\b/g, by: "cart", because: "a reader puts in their own" },
    { what: /(?<=-n |")NAMESPACE\b/g, by: "shop", because: "a reader puts in their own" },
    { what: /\bTHE-TOKEN\b/g, by: "$(cat path-secret)", because: "a reader puts in their own" },
    { what: /\bTHE-PATH-SECRET\b/g, by: "$(cat path-secret)", because: "a reader puts in their own" },
    { what: /\b2803\b/g, by: String(port), because: "something else may listen there" },
    { what: /\/(etc|var\/lib)\/hallux\b/g, by: `${root}/$1/hallux`, because: own },
    { what: /\/backup\b/g, by: `${root}/backup`, because: own },
    { what: /\bnpm ci\b/g, by: ":", because: "it was done before any test could run" },
    { what: /\bnpm run demo\b/g, by: "npm run demo -- --once", because: "it stays up until Ctrl-C" },
    { what: /\bkubectl port-forward [^\n]*&$/gm, by: ":", because: beside },
    { what: /\bkubectl logs -n hallux deploy\/hallux\b/g, by: "hallux-log", because: beside },
    { what: /\bkubectl exec -n hallux deploy\/hallux -- \/usr\/local\/bin\/node\b/g, by: "node", because: beside },
    { what: /\bnode \/opt\/hallux\/hallux\.js\b/g, by: "hallux", because: beside },
  ];
}

/** Goes to moto in place of AWS. */
export const needsAws = /^aws (?!eks )/;

/** Runs until Ctrl-C: in the background here, until the next one or the end of the page. */
export const staysUp = /\bhallux( --)? server\b/;

/** May be done twice: what the page shows may take its time to come. */
export const onlyReads =
  /^(\w+=\S+ )*(kubectl (get|describe|logs|exec|rollout status)|hallux(-in-pod)? (responses|preflight)|curl(?!.* (-d|--data|-\w*X)))\b/;

/** Finds something or nothing, as it is. */
export const mayFindNothing = /\| grep (?!.* \| )/;

/** May change what a kubelet acts on in the namespace of the release. */
export const changesRelease = /\bhelm\b|\bkubectl (?!get|describe|logs|exec|wait|port-forward|run).* -n hallux\b/;

/** Pods are admitted there a little later, which nobody notices who types. */
export const createsNamespace = /\bkubectl create namespace (\S+)/;

/** Those that the pages work in. */
export const namespaces = ["hallux", "shop", "falco"];
