import { existsSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";

/** A control group of Linux with one process in it. */
export interface MemoryGroup {
  /** A process that writes its id here is in the group. */
  readonly members: string;
  /** What `kubectl top` shows and the kubelet evicts by: all that is charged to the group but files that nobody used lately. */
  workingSetMiB(): number;
  remove(): void;
}

/** The two versions of control groups, and what they call it. */
const versions = [
  { root: "/sys/fs/cgroup", usage: "memory.current", inactive: "inactive_file" },
  { root: "/sys/fs/cgroup/memory", usage: "memory.usage_in_bytes", inactive: "total_inactive_file" },
];

/** Undefined where there is none to be had: it takes root, and a group whose memory is counted. */
export function createMemoryGroup(): MemoryGroup | undefined {
  for (const { root, usage, inactive } of versions) {
    const group = join(root, `hallux-bench-${process.pid}`);
    try {
      mkdirSync(group);
    } catch {
      continue;
    }
    if (existsSync(join(group, usage))) {
      return {
        members: join(group, "cgroup.procs"),
        workingSetMiB: () => (Number(textIn(group, usage)) - figureIn(group, inactive)) / 1_048_576,
        remove: () => rmdirSync(group),
      };
    }
    rmdirSync(group);
  }
  return undefined;
}

function figureIn(group: string, name: string): number {
  const [, figure] = new RegExp(`^${name} (\\d+)$`, "m").exec(textIn(group, "memory.stat")) ?? [];
  return Number(figure);
}

function textIn(group: string, file: string): string {
  return readFileSync(join(group, file), "utf8");
}
