import type { Context } from "../src/catalogue/catalogue.ts";
import { aws } from "./aws.ts";
import { k8snode } from "./k8snode.ts";
import { k8spod } from "./k8spod.ts";

export const contexts: readonly Context[] = [k8snode, k8spod, aws];
