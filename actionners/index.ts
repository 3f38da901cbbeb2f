import type { Actionner } from "../src/catalogue/catalogue.ts";
import { lambda } from "./aws/lambda.ts";
import { annotation } from "./kubernetes/annotation.ts";
import { cordon } from "./kubernetes/cordon.ts";
import { deleteResource } from "./kubernetes/delete.ts";
import { exec } from "./kubernetes/exec.ts";
import { label } from "./kubernetes/label.ts";
import { log } from "./kubernetes/log.ts";
import { networkpolicy } from "./kubernetes/networkpolicy.ts";
import { terminate } from "./kubernetes/terminate.ts";

export const actionners: readonly Actionner[] = [
  label,
  annotation,
  terminate,
  deleteResource,
  networkpolicy,
  cordon,
  log,
  exec,
  lambda,
];
