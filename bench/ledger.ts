import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { courseOf } from "../test/support/ledger-contract.ts";
import { decodeEvent } from "../src/events/decode.ts";
import type { FalcoEvent } from "../src/events/event.ts";
import type { Ledger, Work } from "../src/ledger/ledger.ts";
import { createSqliteLedger } from "../src/ledger/sqlite/ledger.ts";
import { atLeast, atMost, report as figures } from "./figure.ts";
import { median } from "./support.ts";

/**
 * Events through the embedded ledger on disk: accept → work → finish, every 20th with a response on record. Goals: late events as
 * fast as early ones (≥ 0.9 ×, by CPU and against decoding in the same slice: others may work on the machine), memory flat,
 * the files within the retention. `node --expose-gc bench/ledger.ts [count]`
 */
const goals = { lateShare: 0.9, heapGrowthMiB: 16, fileShare: 1.5 };
const count = Number(process.argv[2] ?? 1_000_000);
const inFlight = 64;
const responseEvery = 20;
const retentionBytes = 33_554_432;
const slices = 10;

const directory = mkdtempSync(join(tmpdir(), "hallux-bench-ledger-"));
const ledger = await createSqliteLedger({
  directory,
  pid: process.pid,
  windowSeconds: 5,
  backlogBytes: 134_217_728,
  retention: { ageMs: 3_600_000, bytes: retentionBytes },
  clock: Date.now,
  remark: (message) => console.error(message),
});

const stop = new AbortController();
let done = 0;
const working = takeAll(ledger);
const rows: Awaited<ReturnType<typeof measure>>[] = [];
for (let slice = 0; slice < slices; slice++) {
  rows.push(await measure(count / slices));
}
stop.abort();
await working;
await ledger.close();
rmSync(directory, { recursive: true });
report();

async function measure(events: number) {
  const until = done + events;
  const machineBefore = decodingMicros();
  const before = process.cpuUsage();
  const started = performance.now();
  const senders = Array.from({ length: inFlight }, (_, n) => send(Math.ceil((events - n) / inFlight)));
  await Promise.all(senders);
  while (done < until) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const perSecond = (events / (performance.now() - started)) * 1000;
  const { user, system } = process.cpuUsage(before);
  const machine = (machineBefore + decodingMicros()) / 2;
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  return { perSecond, cpuMicros: (user + system) / events, machine, rss, heapUsed, disk: sizeOnDisk() };
}

/** CPU for one event that is only made and decoded: what the machine is worth now, with all that others do on it. */
function decodingMicros(): number {
  const before = process.cpuUsage();
  for (let n = 0; n < 20_000; n++) {
    newEvent();
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 20_000;
}

async function send(events: number): Promise<void> {
  for (let sent = 0; sent < events; sent++) {
    await ledger.accept(newEvent());
  }
}

async function takeAll(from: Ledger): Promise<void> {
  let taken = 0;
  for await (const work of from.work({ events: 2048, bytes: 67_108_864 }, stop.signal)) {
    taken += 1;
    void end(work, taken % responseEvery === 0);
  }
}

async function end(work: Work, responds: boolean): Promise<void> {
  if (responds) {
    await work.record(courseOf(work.event.id, work.event, ["success"]));
  }
  await work.finish();
  done += 1;
}

function newEvent(): FalcoEvent {
  const id = crypto.randomUUID();
  const text = JSON.stringify({
    uuid: crypto.randomUUID(),
    rule: "Terminal shell in container",
    priority: "Notice",
    source: "syscall",
    hostname: "node-1",
    output:
      "A shell was spawned in a container with an attached terminal (evt_type=execve user=root user_uid=0 process=sh)",
    tags: ["container", "shell", "mitre_execution"],
    time: "2026-11-20T10:00:00.834543046Z",
    output_fields: { "k8s.ns.name": "shop", "k8s.pod.name": `cart-${id.slice(0, 2)}`, "proc.name": "sh" },
  });
  const { event } = decodeEvent(text, { id, receivedAt: new Date().toISOString() });
  if (event === undefined) {
    throw new Error("the event is none");
  }
  return event;
}

function sizeOnDisk(): number {
  return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

function report(): void {
  const mebi = (bytes: number) => `${(bytes / 1_048_576).toFixed(1)} MiB`.padStart(10);
  for (const [slice, { perSecond, cpuMicros, machine, rss, heapUsed, disk }] of rows.entries()) {
    const share = `${((slice + 1) * 100) / slices} %`.padStart(5);
    const rate = `${perSecond.toFixed(0)} events/s`.padStart(16);
    const cost = `${cpuMicros.toFixed(1)} µs of CPU (${machine.toFixed(1)} to decode)`;
    console.log(`${share} ${rate}  ${cost}  heap ${mebi(heapUsed)}  rss ${mebi(rss)}  disk ${mebi(disk)}`);
  }
  const [early, late] = [rows.slice(1, 4), rows.slice(-3)];
  const costOf = (some: typeof rows) => median(some.map(({ cpuMicros, machine }) => cpuMicros / machine));
  const lateShare = costOf(early) / costOf(late);
  const growth = median(late.map(({ heapUsed }) => heapUsed)) - median(early.map(({ heapUsed }) => heapUsed));
  const fileShare = Math.max(...rows.map(({ disk }) => disk)) / retentionBytes;
  const wallShare = median(late.map(({ perSecond }) => perSecond)) / median(early.map(({ perSecond }) => perSecond));
  figures([
    atLeast("1 M events through the ledger, late/early", lateShare, goals.lateShare, {
      measured: `${count} events, by CPU time against decoding`,
      against: `by the clock ${wallShare.toFixed(2)}`,
    }),
    atMost("the same, heap growth MiB", growth / 1_048_576, goals.heapGrowthMiB, {
      measured: mebi(growth).trim(),
      against: mebi(median(early.map(({ heapUsed }) => heapUsed))).trim(),
    }),
    atMost("the same, most on disk / retention", fileShare, goals.fileShare, {
      measured: mebi(fileShare * retentionBytes).trim(),
      against: mebi(retentionBytes).trim(),
    }),
  ]);
}
