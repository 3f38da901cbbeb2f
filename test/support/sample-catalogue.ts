import {
  type Catalogue,
  createCatalogue,
  defineActionner,
  defineContext,
  defineNotifier,
  defineOutput,
} from "../../src/catalogue/catalogue.ts";
import { success } from "../../src/catalogue/outcome.ts";
import { choice, flag, integer, secret, text, textMap } from "../../src/schema/field.ts";

/** One or two entries of each kind, showing everything that an entry can declare; they do nothing. */
export function sampleCatalogue(): Catalogue {
  return createCatalogue({
    actionners: [sampleLabel, sampleCapture],
    contexts: [sampleNode],
    outputs: [sampleFile],
    notifiers: [sampleEvents, sampleWebhook],
  });
}

const sampleLabel = defineActionner({
  id: "kubernetes:label",
  summary: "Set or remove labels",
  target: "pod",
  params: {
    labels: textMap("Labels to set; an empty value removes the label", { required: true, minProperties: 1 }),
    level: choice("What is labelled", ["pod", "node"], { default: "pod" }),
  },
  uses: ["kubernetes"],
  rbac: [{ apiGroups: [""], resources: ["pods"], verbs: ["patch"] }],
  destructive: false,
  idempotent: true,
  continues: true,
  output: "none",
  undo: "Remove the label: `kubectl label pod <name> <key>-`",
  examples: [{ title: "Mark the pod suspicious", parameters: { labels: { suspicious: "true" } } }],
  run: async () => success("pod labelled", { objects: {} }),
});

const sampleCapture = defineActionner({
  id: "sample:capture",
  summary: "Capture what happens in the pod",
  description: "Stops by itself after `duration` seconds.",
  target: "pod",
  params: {
    duration: integer("Seconds | at most half a minute", { default: 5, minimum: 1, maximum: 30 }),
    verbose: flag("Capture more", { default: false, aliases: ["chatty"] }),
  },
  uses: [],
  rbac: [],
  destructive: true,
  idempotent: false,
  continues: false,
  output: "required",
  undo: "Nothing to take back",
  examples: [{ title: "Capture at once", parameters: { duration: 1 } }],
  run: async () => success("captured", { objects: {} }),
});

const sampleNode = defineContext({
  id: "k8snode",
  summary: "Facts about the pod's node",
  target: "pod",
  elements: ["node.hostname"],
  uses: ["kubernetes"],
  rbac: [{ apiGroups: [""], resources: ["nodes"], verbs: ["get"] }],
  fetch: async () => ({}),
});

const sampleFile = defineOutput({
  id: "local:file",
  summary: "Write a file",
  params: { destination: text("Folder that exists", { required: true }) },
  uses: [],
  rbac: [],
  examples: [{ title: "Keep it in a volume", parameters: { destination: "/evidence" } }],
  store: async () => ({ location: "/evidence/x" }),
});

const sampleEvents = defineNotifier({
  id: "k8sevents",
  summary: "Create a Kubernetes event",
  settings: {},
  uses: ["kubernetes"],
  rbac: [{ apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create"] }],
  notify: async () => undefined,
});

const sampleWebhook = defineNotifier({
  id: "webhook",
  summary: "Send JSON to a URL",
  settings: {
    url: text("Where to", { required: true, format: "uri" }),
    http_method: choice("Method", ["POST", "PUT"], { default: "POST" }),
    custom_headers: textMap("Headers of each request", { default: {} }),
    token: secret("Sent as a bearer token"),
  },
  uses: [],
  rbac: [],
  notify: async () => undefined,
});
