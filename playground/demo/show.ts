import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import type { Pod } from "../wire.ts";
import { type Cluster, placeOf, statusOf } from "./cluster.ts";
import { eventually } from "./eventually.ts";
import { type Attack, eventOf, send } from "./falco.ts";
import { type HalluxProcess, halluxSays, type LogEntry } from "./hallux-process.ts";
import type { Screen } from "./screen.ts";

export interface Stage {
  readonly screen: Screen;
  readonly cluster: Cluster;
  readonly hallux: HalluxProcess;
  /** For files that commands read. */
  readonly directory: string;
}

interface Scene {
  readonly attack: Attack;
  readonly victim: Pod;
  readonly sender: "Falco" | "Falcosidekick";
  /** How each action has to end, in order. */
  readonly endings: readonly `${string}: ${string}`[];
}

/** The attacks and the responses. Rejects where something does not happen as it should. */
export async function show(stage: Stage): Promise<void> {
  const before = await stage.cluster.pods();
  await labelling(stage);
  const event = await isolation(stage);
  await termination(stage);
  await restraint(stage);
  await explanation(stage, event);

  stage.screen.step("The cluster after: - gone, + new, ~ changed");
  stage.screen.comparison(before, await stage.cluster.pods());
}

async function labelling(stage: Stage): Promise<void> {
  const { screen, cluster } = stage;
  const before = await cluster.pods();
  const victim = podOf("shop/frontend", before);
  screen.step("A web server reads /etc/shadow: mark the pod for whoever looks next");

  await play(stage, { attack: "sensitive-file", victim, sender: "Falco", endings: ["kubernetes:label: success"] });

  const pods = await eventually("the label is on the pod", async () => {
    const pods = await cluster.pods();
    return labelsOf(victim, pods)?.["analysis/status"] === "suspicious" ? pods : undefined;
  });
  screen.changes(before, pods);
  const { reason, message } = await eventually("the pod has a Kubernetes event", async () =>
    (await cluster.eventsAbout(victim)).find((event) => String(event["reason"]).startsWith("Hallux")),
  );
  screen.line("Pod event", `${reason}: ${message}`);
}

/** Resolves with the event, for the explanation. */
async function isolation(stage: Stage): Promise<string> {
  const { screen, cluster } = stage;
  const before = await cluster.pods();
  const victim = podOf("shop/cart", before);
  screen.step("Netcat opens a reverse shell: cut the pod off, keep it for analysis");

  const endings = ["kubernetes:label: success", "kubernetes:networkpolicy: success"] as const;
  const event = await play(stage, { attack: "reverse-shell", victim, sender: "Falcosidekick", endings });

  const pods = await eventually("the pod is labelled as isolated", async () => {
    const pods = await cluster.pods();
    return labelsOf(victim, pods)?.["hallux.dev/isolated"] === undefined ? undefined : pods;
  });
  screen.changes(before, pods);
  const [policy] = await eventually("there is a NetworkPolicy", async () => {
    const policies = await cluster.networkPolicies("shop");
    return policies.length > 0 ? policies : undefined;
  });
  screen.line("NetworkPolicy", `${policy?.metadata.name} selects that label; only kube-system (DNS) stays reachable:`);
  screen.block(stringify({ spec: policy?.["spec"] }, { lineWidth: 0 }));
  return event;
}

async function termination(stage: Stage): Promise<void> {
  const { screen, cluster } = stage;
  const before = await cluster.pods();
  const victim = podOf("payments/api", before);
  screen.step("A foreign binary runs: delete the pod, its Deployment starts a clean one");

  const endings = ["kubernetes:label: success", "kubernetes:terminate: success"] as const;
  await play(stage, { attack: "foreign-binary", victim, sender: "Falcosidekick", endings });

  const replicas = replicasOf(victim, before).length;
  const pods = await eventually("the pod is replaced", async () => {
    const pods = await cluster.pods();
    const gone = labelsOf(victim, pods) === undefined;
    const running = replicasOf(victim, pods).filter((pod) => statusOf(pod) === "Running");
    return gone && running.length === replicas ? pods : undefined;
  });
  screen.changes(before, pods);
}

async function restraint(stage: Stage): Promise<void> {
  const { screen, cluster } = stage;
  const before = await cluster.pods();
  const [database, dns] = [podOf("shop/orders-db", before), podOf("kube-system/coredns", before)];
  screen.step("The same where deletion does more harm: the rule spares databases, a guard spares kube-system");

  await play(stage, {
    attack: "foreign-binary",
    victim: database,
    sender: "Falcosidekick",
    endings: ["kubernetes:label: success", "kubernetes:terminate: ignored"],
  });
  await play(stage, {
    attack: "foreign-binary",
    victim: dns,
    sender: "Falcosidekick",
    endings: ["kubernetes:label: success", "kubernetes:terminate: refused"],
  });

  const pods = await cluster.pods();
  for (const pod of [database, dns]) {
    if (labelsOf(pod, pods) === undefined) {
      throw new Error(`pod ${placeOf(pod)} was deleted`);
    }
  }
  screen.changes(before, pods);
}

async function explanation({ screen, directory }: Stage, event: string): Promise<void> {
  const file = join(directory, "event.json");
  await writeFile(file, event);
  screen.step("Which rules apply to an event, and why not the others? Ask about the reverse shell");
  const command = ["rules", "explain", "-r", "playground/demo/rules.yaml", file];
  screen.commands(`$ hallux ${command.join(" ")}`);
  screen.block(await halluxSays(command));
}

/** Sends the event, waits until every action has ended, and tells how. Resolves with the event. */
async function play({ screen, hallux }: Stage, { attack, victim, sender, endings }: Scene): Promise<string> {
  const event = await eventOf(attack, victim);
  const { rule, priority, output_fields: fields } = JSON.parse(event);
  const earlier = hallux.entries.length;
  screen.line(sender, `${priority}: ${rule}`);
  screen.line("", `${fields["proc.cmdline"]}, in pod ${placeOf(victim)}`);

  const { status, body } = await send(hallux.url, event);
  if (status !== 202) {
    throw new Error(`Hallux answered ${status}: ${body}`);
  }
  const ended = await eventually(`${endings.join(" and ")} on pod ${placeOf(victim)}`, () => {
    const entries = hallux.entries.slice(earlier).filter((entry) => endedOn(victim, entry));
    return entries.length >= endings.length ? entries : undefined;
  });

  for (const entry of ended) {
    screen.action(entry);
  }
  const differing = endings.find((ending) => !ended.some((entry) => ending === `${entry.actionner}: ${entry.status}`));
  if (differing !== undefined) {
    throw new Error(`expected ${differing} on pod ${placeOf(victim)}`);
  }
  return event;
}

function endedOn(pod: Pod, { msg, target }: LogEntry): boolean {
  return msg === "action ended" && target === `pod ${placeOf(pod)}`;
}

/** The first pod of the workload. */
export function podOf(workload: string, pods: readonly Pod[]): Pod {
  const found = pods.find(({ metadata: { namespace, labels } }) => `${namespace}/${labels?.["app"]}` === workload);
  if (found === undefined) {
    throw new Error(`there is no pod of ${workload}`);
  }
  return found;
}

function replicasOf({ metadata: { namespace, labels } }: Pod, pods: readonly Pod[]): readonly Pod[] {
  return pods.filter(
    ({ metadata }) => metadata.namespace === namespace && metadata.labels?.["app"] === labels?.["app"],
  );
}

/** Undefined where the pod is no more. */
function labelsOf({ metadata: { uid } }: Pod, pods: readonly Pod[]): Readonly<Record<string, string>> | undefined {
  const found = pods.find(({ metadata }) => metadata.uid === uid);
  return found && (found.metadata.labels ?? {});
}
