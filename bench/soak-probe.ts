import { appendFileSync } from "node:fs";
import { BroadcastChannel, isMainThread, threadId } from "node:worker_threads";

/**
 * Loaded into the server that `bench/soak.ts` watches, into each of its threads (`node --expose-gc --import`): at SIGUSR2 every
 * thread collects its garbage, and the main one adds a line with what is left to the file SOAK_SAMPLES.
 */
const collect = "collect";
const threads = new BroadcastChannel("soak");
/** Even a thread that waits for a slow disk answers by then. */
const patienceMs = 2_000;

interface ThreadHeap {
  readonly thread: number;
  readonly bytes: number;
}

if (isMainThread) {
  process.on("SIGUSR2", () => void sample());
} else {
  // The others' answers come here, too.
  threads.onmessage = ({ data }: { readonly data: unknown }) => {
    if (data === collect) {
      threads.postMessage(ownHeap());
    }
  };
}
threads.unref();

async function sample(): Promise<void> {
  const heaps = [ownHeap()];
  threads.onmessage = ({ data }: { readonly data: unknown }) => heaps.push(data as ThreadHeap);
  threads.unref();
  threads.postMessage(collect);
  await new Promise((resolve) => setTimeout(resolve, patienceMs));
  const line = {
    heaps: heaps.sort((a, b) => a.thread - b.thread).map(({ bytes }) => bytes),
    rss: process.memoryUsage.rss(),
    resources: process.getActiveResourcesInfo().length,
  };
  appendFileSync(String(process.env["SOAK_SAMPLES"]), `${JSON.stringify(line)}\n`);
}

function ownHeap(): ThreadHeap {
  // The usual one leaves compiled code and what is held weakly for later.
  globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { thread: threadId, bytes: heapUsed + arrayBuffers };
}
