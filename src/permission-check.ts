import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { type NeededPermission, needText, permissionText } from "./catalogue/permissions.ts";
import { type MissingPermission, missingPermissions } from "./catalogue/preflight.ts";
import type { Kubernetes } from "./clients/kubernetes/port.ts";
import type { Metrics } from "./telemetry/metrics.ts";

const timeoutMs = 30_000;
/** Lines of the log, and names in one of them. */
const most = { permissions: 20, needs: 5 };

export interface CheckingPeers {
  readonly kubernetes: Pick<Kubernetes, "reviewAccess">;
  readonly metrics: Pick<Metrics, "permissionsMissing">;
  readonly logger: Logger;
  /** Until it asks again where there was no answer. */
  readonly againMs: number;
  /** Ends the asking. */
  readonly signal: AbortSignal;
}

/** Says what the rules need and Hallux may not do, once the API server answers. Never rejects: events are handled meanwhile. */
export async function checkPermissions(needed: readonly NeededPermission[], peers: CheckingPeers): Promise<void> {
  const { logger, againMs, signal } = peers;
  for (let told = false; !signal.aborted; told = true) {
    const reason = await check(needed, peers);
    if (reason === undefined) {
      return;
    }
    if (!told && !signal.aborted) {
      logger.warn({ reason }, "permissions not checked yet");
    }
    await sleep(againMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Why that was not possible, or undefined. */
async function check(
  needed: readonly NeededPermission[],
  { kubernetes, metrics, logger, signal }: CheckingPeers,
): Promise<string | undefined> {
  try {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const missing = await missingPermissions(needed, kubernetes, deadline);
    metrics.permissionsMissing(missing.length);
    tell(missing, logger);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function tell(missing: readonly MissingPermission[], logger: Logger): void {
  for (const one of missing.slice(0, most.permissions)) {
    const neededBy = one.neededBy.slice(0, most.needs).map(needText);
    const others = one.neededBy.length - neededBy.length;
    logger.warn(
      { permission: permissionText(one), neededBy, ...(others > 0 && { others }), reason: one.reason },
      "permission missing: actions that need it will fail",
    );
  }
  if (missing.length > 0) {
    logger.warn({ missing: missing.length }, 'permissions are missing: "hallux rbac" prints the roles that give them');
  }
}
