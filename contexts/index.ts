import type { Context } from "../src/catalogue/catalogue.ts";
import { aws } from "./aws.ts";
import { k8snode } from "./k8snode.ts";

export const contexts: readonly Context[] = [k8snode, aws];
