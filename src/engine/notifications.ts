import type { Notification, Notifier } from "../catalogue/catalogue.ts";
import { ActionError, isPassing } from "../catalogue/errors.ts";
import type { Clients } from "../clients/clients.ts";
import { isSame } from "../schema/same.ts";
import { tracedClients } from "../telemetry/traced-clients.ts";
import type { Span } from "../telemetry/traces.ts";
import { withDeadline } from "./deadline.ts";
import { type Patience, withRetries } from "./retry.ts";

/** A notifier with its settings from the configuration. */
export interface ConfiguredNotifier {
  readonly notifier: Notifier;
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface NotificationsOptions {
  readonly notifiers: readonly ConfiguredNotifier[];
  readonly clients: Clients;
  /** Of one attempt. */
  readonly timeoutMs: number;
  readonly patience: Patience;
  /** What waits for one notifier; what comes beyond is dropped, counted and on record. */
  readonly queue: { readonly notifications: number; readonly bytes: number };
  /** Of one notifier, at the same time. */
  readonly concurrency: number;
  /** Told of the first that is dropped, and from then on how many were, each so often. */
  readonly dropped: (notifier: string, count: number) => void;
  readonly droppedEveryMs: number;
}

/** How one delivery ended. */
export type Delivery =
  | { readonly status: "success" }
  | { readonly status: "failure"; readonly error: Error }
  | { readonly status: "dropped"; readonly reason: string }
  /** The process stops: it is told after the next start. */
  | { readonly status: "stopped" };

export interface Notifications {
  /**
   * From now on these, with these clients: what waits or is tried again goes out by the new settings. One that is no longer named
   * keeps its own, for the responses that are still to be told to it.
   */
  configure(notifiers: readonly ConfiguredNotifier[], clients: Clients): void;
  /**
   * Puts it in the notifier's own queue. Never rejects but for a notifier that is not configured. Its calls are steps in the span,
   * if there is one.
   */
  send(notifier: string, notification: Notification, span?: Span): Promise<Delivery>;
  /** How many are in the queue of each notifier; not those that are being delivered. */
  waiting(): ReadonlyMap<string, number>;
  /** Resolves when every queue is empty. */
  drained(): Promise<void>;
  /** Nothing is tried again: what has failed for now is told after the next start. */
  end(): void;
  /** Ends the deliveries under way and those waiting. */
  stop(): void;
}

interface Line {
  configure(configured: ConfiguredNotifier, clients: Clients): void;
  send(notification: Notification, span: Span | undefined): Promise<Delivery>;
  waiting(): number;
  drained(): Promise<void>;
}

interface Waiting {
  readonly notification: Notification;
  readonly span: Span | undefined;
  readonly bytes: number;
  readonly ended: (delivery: Delivery) => void;
}

const stopped: Delivery = { status: "stopped" };

/** One queue per notifier: one that hangs or fails changes nothing for the others. */
export function createNotifications(options: NotificationsOptions): Notifications {
  const ending = new AbortController();
  const stopping = new AbortController();
  const ends = { ending: ending.signal, stopping: stopping.signal };
  const lines = new Map<string, Line>();
  const configure: Notifications["configure"] = (notifiers, clients) => {
    for (const configured of notifiers) {
      const { id } = configured.notifier;
      const line = lines.get(id) ?? createLine(id, options, ends);
      line.configure(configured, clients);
      lines.set(id, line);
    }
  };
  configure(options.notifiers, options.clients);

  return {
    configure,
    async send(notifier, notification, span) {
      const line = lines.get(notifier);
      if (line === undefined) {
        throw new Error(`notifier ${notifier} is not configured`);
      }
      return line.send(notification, span);
    },
    waiting: () => new Map([...lines].map(([notifier, line]) => [notifier, line.waiting()])),
    async drained() {
      await Promise.all([...lines.values()].map((line) => line.drained()));
    },
    end: () => ending.abort(interrupted),
    stop: () => stopping.abort(interrupted),
  };
}

const interrupted = new ActionError("interrupted", "Hallux is stopping");

interface Ends {
  readonly ending: AbortSignal;
  readonly stopping: AbortSignal;
}

function createLine(id: string, options: NotificationsOptions, ends: Ends): Line {
  const { queue, concurrency } = options;
  const notify = createNotify();
  const deliver = delivery(notify.once, options, ends);
  const noteDrop = createDropCount(id, options);
  const waiting: Waiting[] = [];
  let waitingBytes = 0;
  let running = 0;
  let idle = Promise.withResolvers<void>();
  idle.resolve();

  const pump = () => {
    while (running < concurrency) {
      const next = waiting.shift();
      if (next === undefined) {
        break;
      }
      waitingBytes -= next.bytes;
      running += 1;
      void deliver(next).then((ended) => {
        running -= 1;
        next.ended(ended);
        pump();
      });
    }
    if (running === 0) {
      idle.resolve();
    }
  };

  return {
    configure: notify.configure,
    async send(notification, span) {
      if (ends.stopping.aborted) {
        return stopped;
      }
      if (waiting.length >= queue.notifications || waitingBytes >= queue.bytes) {
        noteDrop();
        return { status: "dropped", reason: "its queue is full" };
      }
      if (running === 0 && waiting.length === 0) {
        idle = Promise.withResolvers<void>();
      }
      const { promise, resolve } = Promise.withResolvers<Delivery>();
      const bytes = notification.event.text.length;
      waitingBytes += bytes;
      waiting.push({ notification, span, bytes, ended: resolve });
      pump();
      return promise;
    },
    waiting: () => waiting.length,
    drained: () => idle.promise,
  };
}

/** With its retries; never rejects. */
function delivery(
  notify: NotifyOnce,
  { timeoutMs, patience }: NotificationsOptions,
  ends: Ends,
): (given: Pick<Waiting, "notification" | "span">) => Promise<Delivery> {
  const { ending, stopping } = ends;
  return async (given) => {
    const attempt = () => withDeadline({ timeoutMs, signal: stopping }, (signal) => notify(given, signal));
    try {
      await (ending.aborted ? attempt() : withRetries({ patience, signal: ending, attempt }));
      return { status: "success" };
    } catch (error) {
      return isLeft(error, ends) ? stopped : { status: "failure", error: asError(error) };
    }
  };
}

/** One attempt. */
type NotifyOnce = (given: Pick<Waiting, "notification" | "span">, signal: AbortSignal) => Promise<void>;

/** By the settings that are in force when an attempt begins; prepared again where they are others. */
function createNotify(): { readonly once: NotifyOnce; readonly configure: Line["configure"] } {
  let settingsInUse: ConfiguredNotifier["settings"] | undefined;
  let clientsInUse: Clients | undefined;
  let once: NotifyOnce = () => Promise.reject(new Error("the notifier is not configured yet"));

  return {
    once: (given, signal) => once(given, signal),
    configure(next, clients) {
      if (clients === clientsInUse && isSame(settingsInUse, next.settings)) {
        return;
      }
      const { notifier, settings } = next;
      settingsInUse = settings;
      clientsInUse = clients;
      const prepared = preparation(next, clients);
      once = async ({ notification, span }, signal) => {
        const note = await prepared(signal);
        await notifier.notify({ notification, settings, clients: tracedClients(clients, span), signal, note });
      };
    },
  };
}

/** Once for all notifications, again where it failed. */
function preparation(
  { notifier, settings }: ConfiguredNotifier,
  clients: Clients,
): (signal: AbortSignal) => Promise<string | undefined> {
  let prepared: Promise<string | undefined> | undefined;
  return async (signal) => {
    prepared ??= notifier.prepare?.({ settings, clients, signal });
    const preparing = prepared;
    try {
      return await preparing;
    } catch (error) {
      prepared = prepared === preparing ? undefined : prepared;
      throw error;
    }
  };
}

/** To the next start. */
function isLeft(error: unknown, { ending, stopping }: Ends): boolean {
  return stopping.aborted || (ending.aborted && (error === interrupted || isPassing(error)));
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** One line of log for many. */
function createDropCount(notifier: string, { dropped, droppedEveryMs }: NotificationsOptions): () => void {
  let count = 0;
  let toldAt = Number.NEGATIVE_INFINITY;
  return () => {
    count += 1;
    if (performance.now() - toldAt >= droppedEveryMs) {
      dropped(notifier, count);
      count = 0;
      toldAt = performance.now();
    }
  };
}
