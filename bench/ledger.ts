import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { courseOf } from "../test/support/ledger-contract.ts";
import { decodeEvent } from "../src/events/decode.ts";
import type { FalcoEvent } from "../src/events/event.ts";
import type { Ledger, Work } from "../src/ledger/ledger.ts";
import { createSqliteLedger } from "../src/ledger/sqlite/ledger.ts";

/**
 * Events through the embedded ledger on disk: accept → work → finish, every 20th with a response on record. Goals: the last
 * tenth as fast as the first (≥ 0.9 ×), memory flat, the files within the retention. `node --expose-gc bench/ledger.ts [count]`
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
  const before = process.cpuUsage();
  const started = performance.now();
  const senders = Array.from({ length: inFlight }, (_, n) => send(Math.ceil((events - n) / inFlight)));
  await Promise.all(senders);
  while (done < until) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const perSecond = (events / (performance.now() - started)) * 1000;
  const { user, system } = process.cpuUsage(before);
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  return { perSecond, cpuMicros: (user + system) / events, rss, heapUsed, disk: sizeOnDisk() };
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
  for (const [slice, { perSecond, cpuMicros, rss, heapUsed, disk }] of rows.entries()) {
    const share = `${((slice + 1) * 100) / slices} %`.padStart(5);
    const rate = `${perSecond.toFixed(0)} events/s`.padStart(16);
    console.log(
      `${share} ${rate}  ${cpuMicros.toFixed(1)} µs CPU  heap ${mebi(heapUsed)}  rss ${mebi(rss)}  disk ${mebi(disk)}`,
    );
  }
  const [first, last] = [rows[1], rows.at(-1)];
  if (first === undefined || last === undefined) {
    return;
  }
  const lateShare = last.perSecond / first.perSecond;
  const growth = (last.heapUsed - first.heapUsed) / 1_048_576;
  const fileShare = last.disk / retentionBytes;
  console.log(`late/early throughput  ${lateShare.toFixed(2)} (goal ≥ ${goals.lateShare})`);
  console.log(`heap growth            ${growth.toFixed(1)} MiB (goal ≤ ${goals.heapGrowthMiB})`);
  console.log(`disk/retention         ${fileShare.toFixed(2)} (goal ≤ ${goals.fileShare})`);
  const met = lateShare >= goals.lateShare && growth <= goals.heapGrowthMiB && fileShare <= goals.fileShare;
  process.exitCode = met ? 0 : 1;
}
