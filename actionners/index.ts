import type { Actionner } from "../src/catalogue/catalogue.ts";
import { lambda } from "./aws/lambda.ts";
import { calicoNetworkpolicy } from "./calico/networkpolicy.ts";
import { ciliumNetworkpolicy } from "./cilium/networkpolicy.ts";
import { cloudFunction } from "./gcp/function.ts";
import { call } from "./http/call.ts";
import { annotation } from "./kubernetes/annotation.ts";
import { cordon } from "./kubernetes/cordon.ts";
import { deleteResource } from "./kubernetes/delete.ts";
import { download } from "./kubernetes/download.ts";
import { drain } from "./kubernetes/drain.ts";
import { exec } from "./kubernetes/exec.ts";
import { label } from "./kubernetes/label.ts";
import { log } from "./kubernetes/log.ts";
import { networkpolicy } from "./kubernetes/networkpolicy.ts";
import { script } from "./kubernetes/script.ts";
import { sysdig } from "./kubernetes/sysdig.ts";
import { tcpdump } from "./kubernetes/tcpdump.ts";
import { terminate } from "./kubernetes/terminate.ts";

export const actionners: readonly Actionner[] = [
  label,
  annotation,
  terminate,
  deleteResource,
  networkpolicy,
  cordon,
  drain,
  log,
  exec,
  tcpdump,
  sysdig,
  script,
  download,
  calicoNetworkpolicy,
  ciliumNetworkpolicy,
  lambda,
  cloudFunction,
  call,
];
