import { ActionError, type ErrorCode } from "../../src/catalogue/errors.ts";
import type { Kubernetes, Pod } from "../../src/clients/kubernetes/port.ts";

/** What a path leads to; `toolless` and `closed`: nobody there can say. */
const kinds = ["file", "directory", "special", "missing", "unreadable", "toolless", "closed"] as const;
type Kind = (typeof kinds)[number];

/** Before the line that says the kind has ended there may be so much of it. */
const maxHeadBytes = 64;
const maxErrorLength = 500;

/** The container has no shell or no `cat`: nothing is known of the file. */
export class NoTools extends ActionError {}

export interface FileCommand {
  readonly container: string;
  readonly command: readonly string[];
  /** As it was asked for, for people. */
  readonly path: string;
}

/** In the container that has the file. A relative path counts from its working directory. */
export function readOwnFile(container: string, path: string): FileCommand {
  return { container, path, command: ["/bin/sh", "-c", `${ownFile}${tell}`, "hallux", path] };
}

/**
 * In a container that sees, at `proc`, the processes of the one with the file, whose id may be unknown. Symbolic links are followed here, one by
 * one: the kernel would take an absolute one for a path of the container that reads.
 */
export function readForeignFile(
  container: string,
  path: string,
  ownerId: string | undefined,
  proc = "/proc",
): FileCommand {
  return { container, path, command: ["/bin/sh", "-c", `${foreignFile}${tell}`, "hallux", path, ownerId ?? "", proc] };
}

/**
 * The file's bytes. Throws before the first one where it is no regular file or cannot be read, and after the last one where the
 * reading failed: what came until then is not the file.
 */
export async function* bytesOfFile(
  kubernetes: Kubernetes,
  pod: Pod,
  { container, command, path }: FileCommand,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, undefined> {
  const { stdout, ended } = kubernetes.execStream(pod, { container, command }, signal);
  let head: Buffer = Buffer.alloc(0);
  let kind: Kind | undefined;
  for await (const chunk of stdout) {
    if (kind !== undefined) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    kind = kindIn(head);
    if (kind === undefined && head.length > maxHeadBytes) {
      break;
    }
    if (kind === "file") {
      yield head.subarray(head.indexOf("\n") + 1);
    }
  }
  mustBeFile(kind, container, path);
  const { exitCode, stderr } = await ended;
  if (exitCode !== 0) {
    const said = stderr.trim().slice(0, maxErrorLength);
    throw new ActionError("internal", `cannot read ${named(path)} in container ${container} to its end: ${said}`);
  }
}

function kindIn(head: Buffer): Kind | undefined {
  const [, said] = /^hallux ([a-z]+)\n/.exec(head.toString("latin1", 0, maxHeadBytes)) ?? [];
  return kinds.find((kind) => kind === said);
}

const faults: Readonly<Record<Exclude<Kind, "file" | "toolless">, readonly [ErrorCode, string]>> = {
  directory: ["invalid", "it is a directory: only files are downloaded"],
  special: ["invalid", "it is a device, a pipe or a socket: only files are downloaded"],
  missing: ["not_found", "there is no such file, or the container's user may not see it"],
  unreadable: ["forbidden", "the container's user may not read it"],
  closed: ["forbidden", "it may not look into the container that has the file, which takes the capability SYS_PTRACE"],
};

function mustBeFile(kind: Kind | undefined, container: string, path: string): void {
  if (kind === undefined || kind === "toolless") {
    throw new NoTools(
      "internal",
      `container ${container} has no shell, or no cat: ${named(path)} cannot be read there`,
    );
  }
  if (kind !== "file") {
    const [code, reason] = faults[kind];
    throw new ActionError(code, `cannot read ${named(path)} in container ${container}: ${reason}`);
  }
}

const maxNameLength = 200;

function named(path: string): string {
  return JSON.stringify(path.length > maxNameLength ? `${path.slice(0, maxNameLength)}…` : path);
}

/** Neither an option to any program, nor more than one word. */
const ownFile = `
case $1 in /*) file=$1;; *) file=./$1;; esac
tools=cat
`;

/** By the id in its cgroup the owner's process is told from others that may be seen: those of the pod, or of the node. */
const foreignFile = `
tools='cat readlink'
process=$3/1
if [ -n "$2" ]; then
  for one in "$3"/[0-9]*; do
    while IFS= read -r line; do
      case $line in *"$2"*) process=$one; break 2;; esac
    done 2>/dev/null <"$one/cgroup"
  done
fi
root=$process/root
[ -e "$root/." ] || { echo 'hallux closed'; exit; }
case $1 in /*) rest=$1;; *) rest=$(readlink "$process/cwd")/$1;; esac
file=$root links=0
while [ -n "$rest" ]; do
  part=\${rest%%/*}
  case $rest in */*) rest=\${rest#*/};; *) rest=;; esac
  case $part in
    ''|.) continue;;
    ..) [ "$file" = "$root" ] || file=\${file%/*}; continue;;
  esac
  if [ -L "$file/$part" ]; then
    links=$((links + 1))
    [ $links -le 40 ] || { echo 'hallux missing'; exit; }
    link=$(readlink "$file/$part"; echo .)
    link=\${link%??}
    case $link in /*) file=$root;; esac
    rest=$link/$rest
  else
    file=$file/$part
  fi
done
`;

/** `test`, `echo` and `command` are the shell's own. */
const tell = `
kind=file
if [ -d "$file" ]; then kind=directory
elif [ -f "$file" ]; then [ -r "$file" ] || kind=unreadable
elif [ -e "$file" ]; then kind=special
else kind=missing
fi
for tool in $tools; do command -v $tool >/dev/null || kind=toolless; done
echo "hallux $kind"
[ $kind = file ] || exit 0
exec cat -- "$file"
`;
