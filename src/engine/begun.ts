import type { EngineSettings } from "./engine.ts";

/** After an event could be given again: then another replica has it, or has finished it. */
const slackMs = 600_000;

/** What events began with that this process gave back and expects again. */
export interface Begun {
  keep(event: string, settings: EngineSettings, againMs: number): void;
  /** Undefined for an event that this process did not give back, or so long ago that what is on record decides. */
  take(event: string): EngineSettings | undefined;
}

export function createBegun(clock: () => Date): Begun {
  /** Oldest first. */
  const kept = new Map<string, { readonly settings: EngineSettings; readonly until: number }>();

  const forget = (now: number) => {
    for (const [event, { until }] of kept) {
      if (until > now) {
        return;
      }
      kept.delete(event);
    }
  };

  return {
    keep(event, settings, againMs) {
      const now = clock().getTime();
      forget(now);
      kept.set(event, { settings, until: now + againMs + slackMs });
    },
    take(event) {
      // Asked for each event: most of the time nothing was given back.
      const settings = kept.size > 0 ? kept.get(event)?.settings : undefined;
      if (settings !== undefined) {
        kept.delete(event);
      }
      return settings;
    },
  };
}
