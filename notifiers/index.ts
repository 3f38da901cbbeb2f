import type { Notifier } from "../src/catalogue/catalogue.ts";
import { alertmanager } from "./alertmanager.ts";
import { elasticsearch } from "./elasticsearch.ts";
import { falcosidekick } from "./falcosidekick.ts";
import { k8sevents } from "./k8sevents.ts";
import { loki } from "./loki.ts";
import { slack } from "./slack.ts";
import { smtp } from "./smtp.ts";
import { webhook } from "./webhook.ts";

export const notifiers: readonly Notifier[] = [
  k8sevents,
  slack,
  smtp,
  webhook,
  loki,
  elasticsearch,
  alertmanager,
  falcosidekick,
];
