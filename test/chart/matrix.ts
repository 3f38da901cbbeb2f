import type { Values } from "./helm.ts";

const auth = { "auth.path_secret": { name: "hallux-auth", key: "path-secret" } };
const nats = { driver: "nats", nats: { servers: ["nats://nats.nats:4222"] } };
const role = { apiGroups: [""], resources: ["pods"], verbs: ["get", "delete"] };

/** Values as people give them, by what they are for. */
export const matrix: Readonly<Record<string, Values>> = {
  "nothing but the defaults": {},
  "rules of one's own, from everywhere": {
    rules: {
      default: true,
      custom: {
        "text.yaml":
          "- rule: From a text\n  match: { priority: Error }\n  actions: [{ action: Label pod as suspicious }]\n",
        "list.yml": [{ rule: "From a list", match: {}, actions: [{ action: "Label pod as suspicious" }] }],
      },
      existingConfigMaps: [{ name: "team-rules", key: "rules.yaml" }],
      overrides: { "last.yaml": [{ rule: "Attack on a container", dry_run: true }] },
    },
  },
  "rules of existing ConfigMaps alone": {
    rules: { default: false, existingConfigMaps: [{ name: "team-rules", key: "rules.yaml" }] },
  },
  "secrets of every sort, in files": {
    existingSecrets: {
      ...auth,
      "api.token": { name: "hallux-api", key: "token" },
      "aws.secret_key": { name: "aws", key: "secret-key" },
      "minio.secret_key": { name: "minio", key: "secretkey" },
      "gcp.credentials_path": { name: "gcp", key: "credentials.json" },
      "notifiers.slack.webhook_url": { name: "slack", key: "url" },
      "notifiers.loki.ca": { name: "loki", key: "ca.crt" },
    },
    config: {
      default_notifiers: ["slack"],
      aws: { access_key: "AKIA", region: "eu-west-1" },
      minio: { endpoint: "minio.storage:9000", access_key: "hallux" },
      notifiers: {
        slack: { format: "short" },
        loki: { url: "https://loki.example.com", custom_headers: { "X-A": "b" } },
      },
    },
  },
  "many replicas on NATS": {
    replicas: 3,
    config: { log_level: "debug", ledger: nats },
    existingSecrets: { ...auth, "ledger.nats.credentials_file": { name: "nats", key: "hallux.creds" } },
  },
  "many replicas, spread and limited by hand": {
    replicas: 2,
    config: { ledger: nats },
    podDisruptionBudget: { maxUnavailable: "50%" },
    topologySpreadConstraints: [],
    strategy: { type: "Recreate", rollingUpdate: null },
  },
  "a ledger in an emptyDir": { persistence: { enabled: false } },
  "a volume of one's own": { persistence: { existingClaim: "old-state" } },
  "a volume that stays": {
    persistence: { retain: true, size: "10Gi", storageClass: "fast", accessModes: ["ReadWriteOncePod"] },
  },
  "TLS from a secret, with client certificates": {
    tls: { existingSecret: "hallux-tls" },
    existingSecrets: { "tls.client_ca_file": { name: "clients", key: "ca.crt" } },
  },
  "TLS from cert-manager": {
    tls: { certManager: { enabled: true, issuerRef: { name: "internal" }, dnsNames: ["hallux.example.com"] } },
    serviceMonitor: { enabled: true, tlsConfig: { insecureSkipVerify: true } },
  },
  "reachable from outside": {
    service: { type: "LoadBalancer", port: 443, annotations: { a: "b" }, loadBalancerSourceRanges: ["192.0.2.0/24"] },
    ingress: {
      enabled: true,
      className: "nginx",
      annotations: { c: "d" },
      hosts: [{ host: "hallux.example.com" }],
      tls: [{ secretName: "edge", hosts: ["hallux.example.com"] }],
    },
    networkPolicy: {
      from: [],
      restrictEgress: true,
      extraEgress: [{ to: [{ ipBlock: { cidr: "192.0.2.1/32" } }], ports: [{ port: 4222 }] }],
    },
  },
  "all permissions": { rbac: { role: "full" } },
  "permissions that were given": { rbac: { role: "given", clusterRules: [role], namespaceRules: { default: [role] } } },
  "an account of one's own": { rbac: { create: false }, serviceAccount: { create: false, name: "mine" } },
  "an identity of the cloud": {
    serviceAccount: { name: "responder", annotations: { "eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/hallux" } },
    podLabels: { "azure.workload.identity/use": "true" },
  },
  "watched by Prometheus": {
    serviceMonitor: { enabled: true, labels: { release: "prometheus" } },
    prometheusRule: {
      enabled: true,
      labels: { release: "prometheus" },
      alertLabels: { team: "security" },
      runbookUrl: "https://wiki.example.com/hallux",
      alerts: { HalluxNoEvents: { enabled: false }, HalluxFallsBehind: { for: "15m" } },
    },
    dashboard: { enabled: true, labels: { grafana_dashboard: "yes" }, annotations: { grafana_folder: "Security" } },
  },
  "a pod with everything": {
    fullnameOverride: "responder",
    image: { registry: "registry.example.com", repository: "security/hallux", digest: `sha256:${"a".repeat(64)}` },
    imagePullSecrets: [{ name: "pull" }],
    labels: { team: "security" },
    annotations: { note: "x" },
    podAnnotations: { note: "y" },
    config: { listen_port: 8080, max_body_bytes: 67108864, shutdown_delay_seconds: 0, shutdown_grace_seconds: 60 },
    resources: { requests: { memory: "1Gi" }, limits: { memory: "2Gi", cpu: 2 } },
    extraEnv: [{ name: "MINIO_ACCESS_KEY", valueFrom: { secretKeyRef: { name: "minio", key: "user" } } }],
    extraEnvFrom: [{ configMapRef: { name: "more" } }],
    extraVolumes: [{ name: "evidence", emptyDir: {} }],
    extraVolumeMounts: [{ name: "evidence", mountPath: "/evidence" }],
    nodeSelector: { "kubernetes.io/os": "linux" },
    tolerations: [{ key: "security", operator: "Exists" }],
    affinity: { nodeAffinity: {} },
    priorityClassName: "system-cluster-critical",
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: "zone",
        whenUnsatisfiable: "DoNotSchedule",
        labelSelector: { matchLabels: { a: "b" } },
      },
    ],
  },
};
