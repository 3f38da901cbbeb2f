import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { decodeEvent } from "../src/events/decode.ts";
import type { FalcoEvent } from "../src/events/event.ts";
import { createNatsLedger } from "../src/ledger/nats/ledger.ts";
import { natsBinaries, startNats, withoutNats } from "../test/peers/nats.ts";
import { atLeast, report } from "./figure.ts";

/**
 * Durable events a second through the ledger on NATS JetStream, beside a bare loop that publishes the same texts by the same
 * client to the same server, and with three replicas beside one. `node bench/nats.ts [events of a process]`
 */
const goals = { ofBare: 0.5, threeOfOne: 2 };
const rounds = 3;
const warmUp = 2_000;
const inFlight = 64;

interface Task {
  /** `bare`: publishes; `accept`: by the ledger; `through`: also takes and finishes what was accepted. */
  readonly kind: "bare" | "accept" | "through";
  readonly url: string;
  readonly name: string;
  readonly count: number;
}

/** What a process did: from when to when, in milliseconds by the machine's clock, and how long it kept a core busy. */
interface Span {
  readonly from: number;
  readonly to: number;
  readonly cpuMs: number;
}

interface Rate {
  /** Of all processes together. */
  readonly perSecond: number;
  /** Of one of them. */
  readonly perCpuSecond: number;
}

type Best = Record<"bare" | "bareThree" | "one" | "three" | "through", Rate>;

/** In turn, so that what else the machine does troubles all of them. */
const courses: readonly { readonly name: keyof Best; readonly kind: Task["kind"]; readonly processes: number }[] = [
  { name: "bare", kind: "bare", processes: 1 },
  { name: "bareThree", kind: "bare", processes: 3 },
  { name: "one", kind: "accept", processes: 1 },
  { name: "three", kind: "accept", processes: 3 },
  { name: "through", kind: "through", processes: 1 },
];

if (process.send === undefined) {
  await compare(Number(process.argv[2] ?? 20_000));
} else {
  process.once("message", (task: Task) => void perform(task));
}

async function compare(count: number): Promise<void> {
  const binary = natsBinaries.at(-1);
  if (binary === undefined) {
    console.log(withoutNats);
    return;
  }
  const server = await startNats({ binary });
  const none: Rate = { perSecond: 0, perCpuSecond: 0 };
  const best: Best = { bare: none, bareThree: none, one: none, three: none, through: none };
  for (let round = 0; round < rounds; round++) {
    for (const { name, kind, processes } of courses) {
      const rate = await rateOf(processes, { kind, url: server.url, name: `${name}${round}`, count });
      best[name] = better(best[name], rate);
    }
  }
  await server.dispose();
  tell(best, binary.version);
}

function better(one: Rate, other: Rate): Rate {
  return {
    perSecond: Math.max(one.perSecond, other.perSecond),
    perCpuSecond: Math.max(one.perCpuSecond, other.perCpuSecond),
  };
}

/**
 * Three processes cannot be faster than one where one of them and the server keep all cores busy. Then the CPU time says what
 * cores of their own would give: each event costs all three something, for each reads what the others accepted.
 */
function tell({ bare, bareThree, one, three, through }: Best, version: string): void {
  const said = ({ perSecond, perCpuSecond }: Rate) =>
    `${Math.round(perSecond)}/s, ${Math.round(perCpuSecond)} per CPU-second`;
  console.log(`a bare loop: ${said(bare)}; three: ${said(bareThree)}`);
  console.log(`one replica accepts ${said(one)}; accepts, works on and finishes ${said(through)}`);
  console.log(`three replicas accept ${said(three)}`);
  const coresAllow = bareThree.perSecond >= goals.threeOfOne * bare.perSecond;
  report(
    [
      atLeast("nats: accepted by one replica", one.perSecond / bare.perSecond, goals.ofBare, {
        measured: `${Math.round(one.perSecond)} events/s`,
        against: `bare publish loop ${Math.round(bare.perSecond)}/s`,
      }),
      coresAllow
        ? atLeast("nats: accepted by three replicas", three.perSecond / one.perSecond, goals.threeOfOne, {
            measured: `${Math.round(three.perSecond)} events/s`,
            against: `one replica ${Math.round(one.perSecond)}/s`,
          })
        : atLeast(
            "nats: accepted by three replicas, by CPU",
            (3 * three.perCpuSecond) / one.perCpuSecond,
            goals.threeOfOne,
            {
              measured: `3 × ${Math.round(three.perCpuSecond)} per CPU-second`,
              against: `one replica ${Math.round(one.perCpuSecond)}; cores too few: three bare loops ${Math.round(bareThree.perSecond)}/s`,
            },
          ),
    ],
    `nats-server ${version}`,
  );
}

async function rateOf(processes: number, task: Task): Promise<Rate> {
  const children = Array.from({ length: processes }, () => fork(fileURLToPath(import.meta.url)));
  await Promise.all(children.map((child) => said(child, task)));
  const spans = await Promise.all(children.map((child) => said<Span>(child, "go")));
  const from = Math.min(...spans.map((span) => span.from));
  const to = Math.max(...spans.map((span) => span.to));
  const events = processes * task.count;
  return {
    perSecond: (events * 1000) / (to - from),
    perCpuSecond: (events * 1000) / spans.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
  };
}

function said<T>(child: ChildProcess, message: Task | "go"): Promise<T> {
  return new Promise((resolve, reject) => {
    child.once("message", (answer) => resolve(answer as T));
    child.once("exit", (code) => reject(new Error(`a process ended with ${code}`)));
    child.send(message);
  });
}

async function perform(task: Task): Promise<void> {
  const [first, events] = [eventsOf(warmUp), eventsOf(task.count)];
  const { act, end } = await (task.kind === "bare" ? bareLoop(task) : throughLedger(task));
  await all(first, act);
  process.once("message", async () => {
    const [from, before] = [Date.now(), process.cpuUsage()];
    await all(events, act);
    await end();
    const { user, system } = process.cpuUsage(before);
    process.send?.({ from, to: Date.now(), cpuMs: (user + system) / 1000 }, () => process.exit(0));
  });
  process.send?.("ready");
}

async function bareLoop({ url, name }: Task) {
  const nc = await connect({ servers: [url], noAsyncTraces: true });
  const { streams } = await jetstreamManager(nc);
  await streams.add({ name, subjects: [`${name}.*`] });
  const js = jetstream(nc);
  return { act: (event: FalcoEvent) => js.publish(`${name}.${event.id}`, event.text), end: async () => {} };
}

async function throughLedger({ url, name, kind, count }: Task) {
  const ledger = await createNatsLedger({
    ...{ servers: [url], prefix: name, replicas: 1, windowSeconds: 5, backlogBytes: 268_435_456 },
    retention: { ageMs: 3_600_000, bytes: 16_777_216 },
    clock: Date.now,
    remark: (message) => console.error(message),
  });
  const done = Promise.withResolvers<void>();
  if (kind === "through") {
    void (async () => {
      let finished = 0;
      for await (const work of ledger.work({ events: 256, bytes: 16_777_216 }, new AbortController().signal)) {
        work.finish().then(
          () => {
            finished += 1;
            return finished === count + warmUp ? done.resolve() : undefined;
          },
          (error: Error) => console.error(error.message),
        );
      }
    })();
  } else {
    done.resolve();
  }
  return { act: (event: FalcoEvent) => ledger.accept(event), end: () => done.promise };
}

async function all(events: readonly FalcoEvent[], act: (event: FalcoEvent) => Promise<unknown>): Promise<void> {
  const left = events.values();
  const sender = async () => {
    for (const event of left) {
      await act(event);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, sender));
}

/** As Falcosidekick relays them. */
function eventsOf(count: number): FalcoEvent[] {
  return Array.from({ length: count }, (_, n) => {
    const sent = {
      uuid: crypto.randomUUID(),
      rule: "Terminal shell in container",
      priority: "Notice",
      source: "syscall",
      hostname: "node-1",
      output:
        "A shell was spawned in a container with an attached terminal (user=root command=bash pid=4711 parent=runc)",
      tags: ["container", "shell", "mitre_execution", "T1059"],
      time: "2026-03-01T10:00:00.123456789Z",
      output_fields: {
        "k8s.ns.name": "shop",
        "k8s.pod.name": `cart-${n % 1000}`,
        "proc.cmdline": "bash",
        "user.uid": 0,
      },
    };
    const receipt = { id: crypto.randomUUID(), receivedAt: "2026-03-01T10:00:01.000Z" };
    return decodeEvent(JSON.stringify(sent), receipt).event as FalcoEvent;
  });
}
