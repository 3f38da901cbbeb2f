import type { Notification } from "../../src/catalogue/catalogue.ts";
import type { Outcome } from "../../src/catalogue/outcome.ts";
import type { FalcoEvent } from "../../src/events/event.ts";
import { podOf } from "../../src/events/target.ts";
import { eventOf } from "./events.ts";

export interface NotificationTraits {
  readonly event?: FalcoEvent;
  readonly rule?: string;
  readonly action?: Notification["action"];
  readonly outcome?: Partial<Outcome>;
}

/** What a notifier is told: the event's pod was labelled, unless the traits say otherwise. */
export function notificationOf(traits: NotificationTraits = {}): Notification {
  const event = traits.event ?? eventOf({ pod: "shop/cart-1" });
  const pod = podOf(event);
  return {
    event,
    response: crypto.randomUUID(),
    rule: { name: traits.rule ?? "Label shells", description: undefined },
    action: traits.action ?? { name: "label", actionner: "kubernetes:label" },
    outcome: {
      status: "success",
      message: "pod labelled",
      code: undefined,
      would: undefined,
      target: pod.kind === "pod" ? pod : undefined,
      objects: {},
      text: undefined,
      artifact: undefined,
      undo: undefined,
      durationMs: 3,
      ...traits.outcome,
    },
    at: "2026-11-21T08:15:00.000Z",
  };
}
