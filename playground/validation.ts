import { isIP } from "node:net";
import { isDeepStrictEqual } from "node:util";
import type { Cause } from "./errors.ts";
import { selects } from "./selectors.ts";
import { at, isRecord, type KubeObject, type LabelSelector, listAt, recordAt, textAt } from "./wire.ts";

export type NameForm = "subdomain" | "label" | "path";

const subdomainRule =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const labelRule =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const namePartRule =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const labelValueRule =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const qualifiedNameRule =
  "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
const labelKeyRule = qualifiedNameRule.replace("a qualified name", "a valid label key");
const podUpdateRule =
  "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

const maxAnnotationBytes = 256 * 1024;

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const dnsLabel = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const qualifiedPart = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

/** What is wrong with the name, labels and annotations, in the server's words. */
export function metadataCauses({ metadata }: KubeObject, form: NameForm): readonly Cause[] {
  return [
    ...nameFaults(metadata.name, form).map((fault) => wrong("metadata.name", metadata.name, fault)),
    ...labelCauses(metadata.labels ?? {}, "metadata.labels"),
    ...annotationCauses(metadata.annotations ?? {}),
  ];
}

function annotationCauses(annotations: Readonly<Record<string, string>>): readonly Cause[] {
  const field = "metadata.annotations";
  const bytes = Object.entries(annotations).reduce((sum, entry) => sum + Buffer.byteLength(entry.join("")), 0);
  const message = `Too long: may not be more than ${maxAnnotationBytes} bytes`;
  return [
    ...Object.keys(annotations).flatMap((key) =>
      qualifiedNameFaults(key.toLowerCase()).map((fault) => wrong(field, key, fault)),
    ),
    ...(bytes > maxAnnotationBytes ? [{ reason: "FieldValueTooLong", message, field }] : []),
  ];
}

/** An update may not turn an object into another one. */
export function immutableCauses(object: KubeObject, previous: KubeObject): readonly Cause[] {
  return object.metadata.uid === previous.metadata.uid
    ? []
    : [wrong("metadata.uid", object.metadata.uid, "field is immutable")];
}

function labelCauses(labels: Readonly<Record<string, string>>, field: string): readonly Cause[] {
  return Object.entries(labels).flatMap(([key, value]) => [
    ...qualifiedNameFaults(key, labelKeyRule).map((fault) => wrong(field, key, fault)),
    ...labelValueFaults(value).map((fault) => wrong(field, value, fault)),
  ]);
}

function nameFaults(name: string, form: NameForm): readonly string[] {
  switch (form) {
    case "path":
      return pathFaults(name);
    case "label":
      return dnsLabel.test(name) && name.length <= 63 ? [] : labelNameFaults(name);
    case "subdomain":
      return [
        ...(name.length > 253 ? ["must be no more than 253 characters"] : []),
        ...(subdomain.test(name) ? [] : [subdomainRule]),
      ];
  }
}

function labelNameFaults(name: string): readonly string[] {
  if (name.includes(".")) {
    return ["must not contain dots"];
  }
  return [...(name.length > 63 ? ["must be no more than 63 bytes"] : []), ...(dnsLabel.test(name) ? [] : [labelRule])];
}

function pathFaults(name: string): readonly string[] {
  if (name === "." || name === "..") {
    return [`may not be '${name}'`];
  }
  return ["/", "%"]
    .filter((character) => name.includes(character))
    .map((character) => `may not contain '${character}'`);
}

function qualifiedNameFaults(key: string, rule = qualifiedNameRule): readonly string[] {
  const parts = key.split("/");
  if (parts.length > 2) {
    return [rule];
  }
  const name = parts.at(-1) ?? "";
  const prefix = parts.length === 2 ? (parts[0] ?? "") : undefined;
  return [...prefixFaults(prefix), ...namePartFaults(name)];
}

function prefixFaults(prefix: string | undefined): readonly string[] {
  if (prefix === undefined) {
    return [];
  }
  if (prefix === "") {
    return ["prefix part must be non-empty"];
  }
  return nameFaults(prefix, "subdomain").map((fault) => `prefix part ${fault}`);
}

function namePartFaults(name: string): readonly string[] {
  return [
    ...(name === "" ? ["name part must be non-empty"] : []),
    ...(name.length > 63 ? ["name part must be no more than 63 bytes"] : []),
    ...(qualifiedPart.test(name) ? [] : [namePartRule]),
  ];
}

function labelValueFaults(value: string): readonly string[] {
  return [
    ...(value.length > 63 ? ["must be no more than 63 bytes"] : []),
    ...(labelValue.test(value) ? [] : [labelValueRule]),
  ];
}

export function podCauses(pod: KubeObject, previous: KubeObject | undefined): readonly Cause[] {
  if (previous !== undefined && !isDeepStrictEqual(fixedSpec(pod), fixedSpec(previous))) {
    return [{ reason: "FieldValueForbidden", message: podUpdateRule, field: "spec" }];
  }
  return podSpecCauses(pod["spec"], "spec");
}

function podSpecCauses(spec: unknown, field: string): readonly Cause[] {
  const containers = listAt(spec, "containers");
  if (containers.length === 0) {
    return [required(`${field}.containers`)];
  }
  return containers.flatMap((container, index) => {
    const seen = containers.slice(0, index).some((other) => at(other, "name") === at(container, "name"));
    return containerCauses(container, `${field}.containers[${index}]`, seen);
  });
}

function containerCauses(container: unknown, field: string, seen: boolean): readonly Cause[] {
  const name = textAt(container, "name") ?? "";
  return [
    ...(name === ""
      ? [required(`${field}.name`)]
      : nameFaults(name, "label").map((f) => wrong(`${field}.name`, name, f))),
    ...(seen
      ? [
          {
            reason: "FieldValueDuplicate",
            message: `Duplicate value: ${JSON.stringify(name)}`,
            field: `${field}.name`,
          },
        ]
      : []),
    ...((textAt(container, "image") ?? "") === "" ? [required(`${field}.image`)] : []),
  ];
}

/** What of a pod's spec may never change. */
function fixedSpec(pod: KubeObject): unknown {
  const {
    activeDeadlineSeconds: _a,
    tolerations: _t,
    terminationGracePeriodSeconds: _g,
    ...spec
  } = recordAt(pod, "spec");
  const withoutImages = (list: readonly unknown[]) => list.map((entry) => ({ ...recordAt(entry), image: "" }));
  return {
    ...spec,
    containers: withoutImages(listAt(spec, "containers")),
    initContainers: withoutImages(listAt(spec, "initContainers")),
  };
}

export function workloadCauses(workload: KubeObject, previous: KubeObject | undefined): readonly Cause[] {
  const selector = at(workload, "spec", "selector");
  const labels = at(workload, "spec", "template", "metadata", "labels");
  const mismatch =
    !isRecord(selector) || !selects(selector as LabelSelector, recordAt(labels) as Record<string, string>);
  return [
    ...(isRecord(selector) ? [] : [required("spec.selector")]),
    ...(mismatch
      ? [wrong("spec.template.metadata.labels", labels ?? null, "`selector` does not match template `labels`")]
      : []),
    ...podSpecCauses(at(workload, "spec", "template", "spec"), "spec.template.spec"),
    ...(previous !== undefined && !isDeepStrictEqual(selector, at(previous, "spec", "selector"))
      ? [wrong("spec.selector", selector ?? null, "field is immutable")]
      : []),
  ];
}

export function jobCauses(job: KubeObject): readonly Cause[] {
  return podSpecCauses(at(job, "spec", "template", "spec"), "spec.template.spec");
}

/** Events about cluster-wide objects live in `default`, all others beside their object. */
export function eventCauses(event: KubeObject): readonly Cause[] {
  const about = textAt(event, "involvedObject", "namespace") ?? "";
  const own = event.metadata.namespace;
  const fits = about === "" ? own === "default" || own === "kube-system" : about === own;
  return fits ? [] : [wrong("involvedObject.namespace", about, "does not match event.namespace")];
}

export function nodeCauses(node: KubeObject, previous: KubeObject | undefined): readonly Cause[] {
  const before = textAt(previous, "spec", "providerID") ?? "";
  if (before === "" || before === textAt(node, "spec", "providerID")) {
    return [];
  }
  const message = 'Forbidden: node updates may not change providerID except from "" to valid';
  return [{ reason: "FieldValueForbidden", message, field: "spec.providerID" }];
}

export function networkPolicyCauses(policy: KubeObject): readonly Cause[] {
  const directions = [
    ["ingress", "from"],
    ["egress", "to"],
  ] as const;
  const spec = at(policy, "spec");
  return [
    ...labelCauses(
      recordAt(spec, "podSelector", "matchLabels") as Record<string, string>,
      "spec.podSelector.matchLabels",
    ),
    ...directions.flatMap(([direction, peers]) =>
      listAt(spec, direction).flatMap((rule, i) =>
        listAt(rule, peers).flatMap((peer, j) => peerCauses(peer, `spec.${direction}[${i}].${peers}[${j}]`)),
      ),
    ),
  ];
}

function peerCauses(peer: unknown, field: string): readonly Cause[] {
  const block = at(peer, "ipBlock");
  if (block === undefined) {
    return Object.keys(recordAt(peer)).length > 0 ? [] : [required(field, "must specify a peer")];
  }
  const cidr = textAt(block, "cidr") ?? "";
  return [
    ...cidrCauses(cidr, `${field}.ipBlock.cidr`),
    ...listAt(block, "except").flatMap((except, i) => cidrCauses(String(except), `${field}.ipBlock.except[${i}]`)),
  ];
}

function cidrCauses(cidr: string, field: string): readonly Cause[] {
  if (cidr === "") {
    return [required(field)];
  }
  const [address = "", length = "", ...rest] = cidr.split("/");
  const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  const fits = /^\d{1,3}$/.test(length) && Number(length) <= bits && rest.length === 0;
  return fits ? [] : [wrong(field, cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")];
}

export function wrong(field: string, value: unknown, message: string): Cause {
  return { reason: "FieldValueInvalid", message: `Invalid value: ${JSON.stringify(value)}: ${message}`, field };
}

export function required(field: string, message?: string): Cause {
  return {
    reason: "FieldValueRequired",
    message: message === undefined ? "Required value" : `Required value: ${message}`,
    field,
  };
}
