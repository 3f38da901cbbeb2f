import type { Notifier } from "../src/catalogue/catalogue.ts";
import { k8sevents } from "./k8sevents.ts";
import { webhook } from "./webhook.ts";

export const notifiers: readonly Notifier[] = [k8sevents, webhook];
