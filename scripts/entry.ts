#!/usr/bin/env node
import { oldestNode } from "./oldest-node.ts";

/**
 * What the bundle begins with. It imports the rest only where Node is new enough: an older one fails at imports before any line runs.
 * Written so that Node 16 understands it.
 */
if (Number.parseInt(process.versions.node, 10) < oldestNode) {
  process.stderr.write(`hallux: needs Node ${oldestNode} or later, and this is Node ${process.versions.node}\n`);
  process.exitCode = 1;
} else {
  await import("../src/main.ts");
}
