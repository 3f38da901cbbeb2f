import type { Http } from "../http/port.ts";
import { dryRunStore } from "../object-store.ts";
import { createCredentials } from "./credentials.ts";
import { createFunctions } from "./functions.ts";
import { createLocator } from "./locate.ts";
import type { Gcp } from "./port.ts";
import type { GcpSettings } from "./settings.ts";
import { createStorage } from "./storage.ts";

/** google-auth-library is loaded by the first call. A dry run asks for credentials and for what would be called. */
export function createGcp(settings: GcpSettings, http: Http): { readonly real: Gcp; readonly dryRun: Gcp } {
  const credentials = createCredentials(settings);
  const locator = createLocator({ credentials, http, endpoint: settings.endpoints?.functions });
  const functions = createFunctions({ credentials, locator, http });
  const storage = createStorage({ credentials, http, endpoint: settings.endpoints?.storage });
  return {
    real: { ...storage, callFunction: functions.call },
    dryRun: { ...dryRunStore(storage), callFunction: functions.check },
  };
}
