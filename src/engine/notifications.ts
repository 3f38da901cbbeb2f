import type { Notification, Notifier } from "../catalogue/catalogue.ts";
import type { Clients } from "../clients/clients.ts";
import { withDeadline } from "./deadline.ts";

const stopped = "Hallux is stopping";

/** A notifier with its settings from the configuration. */
export interface ConfiguredNotifier {
  readonly notifier: Notifier;
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface NotificationsOptions {
  readonly notifiers: readonly ConfiguredNotifier[];
  readonly clients: Clients;
  readonly timeoutMs: number;
  /** Waiting notifications of one notifier; what comes beyond is dropped, counted and on record. */
  readonly queueLimit: number;
  /** Of one notifier, at the same time. */
  readonly concurrency: number;
}

/** How one delivery ended. */
export type Delivery =
  | { readonly status: "success" }
  | { readonly status: "failure"; readonly error: Error }
  | { readonly status: "dropped"; readonly reason: string };

export interface Notifications {
  /** Puts it in the notifier's own queue and returns at once; `ended` is called once. */
  send(notifier: string, notification: Notification, ended: (delivery: Delivery) => void): void;
  /** Resolves when every queue is empty. */
  drained(): Promise<void>;
  /** Ends the deliveries under way and drops those waiting. */
  stop(): void;
}

interface Line {
  send(notification: Notification, ended: (delivery: Delivery) => void): void;
  drained(): Promise<void>;
}

/** One queue per notifier: one that hangs or fails changes nothing for the others. */
export function createNotifications(options: NotificationsOptions): Notifications {
  const stopping = new AbortController();
  const lines = new Map(
    options.notifiers.map((configured) => [configured.notifier.id, createLine(configured, options, stopping.signal)]),
  );

  return {
    send(notifier, notification, ended) {
      const line = lines.get(notifier);
      if (line === undefined) {
        throw new Error(`notifier ${notifier} is not configured`);
      }
      line.send(notification, ended);
    },
    async drained() {
      await Promise.all([...lines.values()].map((line) => line.drained()));
    },
    stop: () => stopping.abort(new Error(stopped)),
  };
}

function createLine(
  { notifier, settings }: ConfiguredNotifier,
  { clients, timeoutMs, queueLimit, concurrency }: NotificationsOptions,
  stopping: AbortSignal,
): Line {
  const waiting: { notification: Notification; ended: (delivery: Delivery) => void }[] = [];
  let running = 0;
  let idle = Promise.withResolvers<void>();
  idle.resolve();

  const deliver = (notification: Notification): Promise<Delivery> =>
    withDeadline({ timeoutMs, signal: stopping }, (signal) =>
      notifier.notify({ notification, settings, clients, signal }),
    ).then(
      () => ({ status: "success" }),
      (error: unknown) => ({ status: "failure", error: error instanceof Error ? error : new Error(String(error)) }),
    );

  const pump = () => {
    while (running < concurrency) {
      const next = waiting.shift();
      if (next === undefined) {
        break;
      }
      running += 1;
      void deliver(next.notification).then((delivery) => {
        running -= 1;
        next.ended(delivery);
        pump();
      });
    }
    if (running === 0) {
      idle.resolve();
    }
  };

  return {
    send(notification, ended) {
      const reason = stopping.aborted ? stopped : waiting.length >= queueLimit ? "its queue is full" : undefined;
      if (reason !== undefined) {
        ended({ status: "dropped", reason });
        return;
      }
      if (running === 0 && waiting.length === 0) {
        idle = Promise.withResolvers<void>();
      }
      waiting.push({ notification, ended });
      pump();
    },
    drained: () => idle.promise,
  };
}
