import { parentPort, workerData } from "node:worker_threads";
import { createDesk, type Desk, type Place } from "./desk.ts";
import { storeFault } from "./fault.ts";

/** What goes to the thread; the answer has the same number. */
export interface Request {
  readonly call: number;
  readonly method: keyof Desk;
  readonly argument: unknown;
}

export type Answer =
  | { readonly call: number; readonly value: unknown }
  | { readonly call: number; readonly fault: { readonly message: string; readonly held: boolean } };

const place = workerData as Place;
const desk = createDesk(place);

parentPort?.on("message", (request: Request) => {
  parentPort?.postMessage(answerTo(request));
  if (request.method === "close") {
    parentPort?.close();
  }
});

function answerTo({ call, method, argument }: Request): Answer {
  try {
    return { call, value: (desk[method] as (argument: unknown) => unknown)(argument) };
  } catch (error) {
    const { message, held } = storeFault(error, place.directory);
    return { call, fault: { message, held } };
  }
}
