import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { createDesk, type Desk, type Place } from "./desk.ts";
import { StoreFault, storeFault } from "./fault.ts";
import type { Answer, Request } from "./thread.ts";

/** A desk, wherever it stands. Rejects with StoreFault. */
export interface Transport {
  call<M extends Method>(method: M, ...parameters: Parameters<Desk[M]>): Promise<ReturnType<Desk[M]>>;
  /** Closes its files. The next call opens what it needs again. */
  close(): Promise<void>;
}

type Method = Exclude<keyof Desk, "close">;

/** In this thread, but not at once: who asks goes on first, as with another thread. */
export function inlineDesk(place: Place): Transport {
  const desk = createDesk(place);
  return {
    async call(method, ...parameters) {
      await undefined;
      try {
        return (desk[method] as (...given: typeof parameters) => ReturnType<Desk[typeof method]>)(...parameters);
      } catch (error) {
        throw storeFault(error, place.directory);
      }
    },
    async close() {
      desk.close();
    },
  };
}

type Waiting = PromiseWithResolvers<unknown>;

/** In a thread of its own, which begins with the first call, and again after its end. */
export function threadDesk(place: Place, execArgv?: readonly string[]): Transport {
  let waiting = new Map<number, Waiting>();
  let worker: Worker | undefined;
  let calls = 0;

  const start = () => {
    const started = new Worker(entry(), { workerData: place, execArgv: execArgv && [...execArgv] });
    const mine = waiting;
    const end = (reason: string) => {
      if (worker === started) {
        worker = undefined;
        waiting = new Map();
      }
      for (const { reject } of mine.values()) {
        reject(new StoreFault(`the ledger's thread ended (${reason})`, false));
      }
      mine.clear();
    };
    started.on("message", (answer: Answer) => settle(mine, answer));
    started.once("error", (error) => end(String(error)));
    started.once("exit", (code) => end(`exit code ${code}`));
    return started;
  };

  const ask = (thread: Worker, method: keyof Desk, argument: unknown): Promise<unknown> => {
    calls += 1;
    const answer = Promise.withResolvers<unknown>();
    waiting.set(calls, answer);
    thread.postMessage({ call: calls, method, argument } satisfies Request);
    return answer.promise;
  };

  return {
    call<M extends Method>(method: M, ...[argument]: Parameters<Desk[M]>) {
      worker ??= start();
      return ask(worker, method, argument) as Promise<ReturnType<Desk[M]>>;
    },
    async close() {
      if (worker !== undefined) {
        await ask(worker, "close", undefined);
      }
    },
  };
}

function settle(waiting: Map<number, Waiting>, answer: Answer): void {
  const asked = waiting.get(answer.call);
  waiting.delete(answer.call);
  if ("fault" in answer) {
    asked?.reject(new StoreFault(answer.fault.message, answer.fault.held));
  } else {
    asked?.resolve(answer.value);
  }
}

/** Bundled, the thread's file lies beside this one's chunk or above it; else it is the source. */
function entry(): URL {
  const candidates = ["./thread.ts", "./ledger-thread.js", "../ledger-thread.js"].map(
    (name) => new URL(name, import.meta.url),
  );
  return candidates.find((url) => existsSync(fileURLToPath(url))) ?? new URL("./thread.ts", import.meta.url);
}
