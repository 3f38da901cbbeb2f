import { type KubeObject, listAt, recordAt, textAt } from "./wire.ts";

/** What the server fills in, as far as clients look at it. Values given win. */
export function podDefaults(pod: KubeObject): KubeObject {
  return {
    ...pod,
    spec: podSpec(recordAt(pod, "spec")),
    status: { phase: "Pending", qosClass: "BestEffort", ...recordAt(pod, "status") },
  };
}

function podSpec(spec: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const inits = listAt(spec, "initContainers");
  return {
    ...spec,
    ...(inits.length === 0 ? {} : { initContainers: inits.map(container) }),
    containers: listAt(spec, "containers").map(container),
    restartPolicy: spec["restartPolicy"] ?? "Always",
    terminationGracePeriodSeconds: spec["terminationGracePeriodSeconds"] ?? 30,
    dnsPolicy: spec["dnsPolicy"] ?? "ClusterFirst",
    serviceAccountName: spec["serviceAccountName"] ?? "default",
    serviceAccount: spec["serviceAccountName"] ?? "default",
    securityContext: spec["securityContext"] ?? {},
    schedulerName: spec["schedulerName"] ?? "default-scheduler",
    enableServiceLinks: spec["enableServiceLinks"] ?? true,
  };
}

function container(given: unknown): unknown {
  const image = textAt(given, "image") ?? "";
  return {
    resources: {},
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
    imagePullPolicy: /:(?!latest$)[^/]+$/.test(image) ? "IfNotPresent" : "Always",
    ...recordAt(given),
    ...portDefaults(given),
  };
}

function portDefaults(given: unknown): object {
  const ports = listAt(given, "ports");
  return ports.length === 0 ? {} : { ports: ports.map((port) => ({ protocol: "TCP", ...recordAt(port) })) };
}

/** Deployment, ReplicaSet, StatefulSet, DaemonSet: `own` are the kind's own defaults. */
export function workloadDefaults(own: Readonly<Record<string, unknown>>): (workload: KubeObject) => KubeObject {
  return (workload) => {
    const spec = recordAt(workload, "spec");
    const template = recordAt(spec, "template");
    return {
      ...workload,
      spec: {
        ...own,
        ...spec,
        template: { ...template, metadata: recordAt(template, "metadata"), spec: podSpec(recordAt(template, "spec")) },
      },
      status: recordAt(workload, "status"),
    };
  };
}

export function namespaceDefaults(namespace: KubeObject): KubeObject {
  const labels = { ...namespace.metadata.labels, "kubernetes.io/metadata.name": namespace.metadata.name };
  return {
    ...namespace,
    metadata: { ...namespace.metadata, labels },
    spec: { finalizers: ["kubernetes"] },
    status: { phase: "Active", ...recordAt(namespace, "status") },
  };
}

export function nodeDefaults(node: KubeObject): KubeObject {
  return { ...node, spec: recordAt(node, "spec"), status: recordAt(node, "status") };
}

export function networkPolicyDefaults(policy: KubeObject): KubeObject {
  const spec = recordAt(policy, "spec");
  const directions = ["Ingress", ...(spec["egress"] === undefined ? [] : ["Egress"])];
  return { ...policy, spec: { podSelector: {}, policyTypes: directions, ...spec } };
}

/** `stringData` is write-only. */
export function secretDefaults(secret: KubeObject): KubeObject {
  const { stringData, ...kept } = secret;
  const written = Object.entries(recordAt(stringData)).map(([key, value]) => [
    key,
    Buffer.from(String(value)).toString("base64"),
  ]);
  const data = { ...recordAt(secret, "data"), ...Object.fromEntries(written) };
  return {
    ...kept,
    apiVersion: secret.apiVersion,
    kind: secret.kind,
    metadata: secret.metadata,
    ...(Object.keys(data).length === 0 ? {} : { data }),
    type: secret["type"] ?? "Opaque",
  };
}

export function serviceDefaults(service: KubeObject): KubeObject {
  const spec = recordAt(service, "spec");
  const address =
    spec["clusterIP"] ?? `10.96.${service.metadata.uid.charCodeAt(0)}.${service.metadata.uid.charCodeAt(1)}`;
  return {
    ...service,
    spec: {
      type: "ClusterIP",
      sessionAffinity: "None",
      clusterIP: address,
      clusterIPs: [address],
      ...spec,
      ports: listAt(spec, "ports").map((port) => ({
        protocol: "TCP",
        targetPort: recordAt(port)["port"],
        ...recordAt(port),
      })),
    },
    status: { loadBalancer: {}, ...recordAt(service, "status") },
  };
}

export function eventDefaults(event: KubeObject): KubeObject {
  return {
    source: {},
    firstTimestamp: null,
    lastTimestamp: null,
    eventTime: null,
    reportingComponent: "",
    reportingInstance: "",
    ...event,
  };
}

const jobLabel = "batch.kubernetes.io/controller-uid";

export function jobDefaults(job: KubeObject): KubeObject {
  const spec = recordAt(job, "spec");
  const template = recordAt(spec, "template");
  const metadata = recordAt(template, "metadata");
  const labels = { [jobLabel]: job.metadata.uid, "batch.kubernetes.io/job-name": job.metadata.name };
  return {
    ...job,
    spec: {
      parallelism: 1,
      completions: 1,
      backoffLimit: 6,
      selector: { matchLabels: { [jobLabel]: job.metadata.uid } },
      ...spec,
      template: {
        ...template,
        metadata: { ...metadata, labels: { ...recordAt(metadata, "labels"), ...labels } },
        spec: podSpec(recordAt(template, "spec")),
      },
    },
    status: recordAt(job, "status"),
  };
}

/** A selector of labels alone, those of the template where none are given. */
export function replicationControllerDefaults(controller: KubeObject): KubeObject {
  const labels = recordAt(controller, "spec", "template", "metadata", "labels");
  return workloadDefaults({ replicas: 1, selector: labels })(controller);
}
