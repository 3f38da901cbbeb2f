import type { Mailer } from "./port.ts";

/** Nothing is loaded before the first mail. */
export function createMailers(): { readonly real: Mailer; readonly dryRun: Mailer } {
  const load = () => import("./smtp.ts");
  return {
    real: { send: async (...call) => (await load()).send(...call) },
    dryRun: { send: async (_mail, ...call) => (await load()).send(undefined, ...call) },
  };
}
