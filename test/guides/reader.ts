import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { must, programNamed } from "../chart/helm.ts";
import { freePort } from "../support/free-ports.ts";
import { type Command, commandsOf, type File, type Step, stepsOf } from "./markdown.ts";
import { Node, untilListening } from "./node.ts";
import { agrees } from "./output.ts";
import {
  changesRelease,
  createsNamespace,
  mayFindNothing,
  namespaces,
  notRun,
  onlyReads,
  type Place,
  staysUp,
  substitutionsAt,
} from "./plan.ts";
import { type Ended, Shell } from "./shell.ts";

const checkout = join(import.meta.dirname, "../..");

export interface Start {
  /** An empty directory. */
  readonly root: string;
  readonly kubeconfig: string;
  /** Hallux, bundled. */
  readonly program: string;
  /** In place of AWS. */
  readonly aws: string | undefined;
}

/** Somebody with a clone, a cluster and a terminal who does what pages say. */
export class Reader implements AsyncDisposable {
  readonly #place: Place;
  readonly #node: Node;
  readonly #shell: Shell;
  readonly #clone: string;

  private constructor(place: Place, node: Node, shell: Shell, clone: string) {
    this.#place = place;
    this.#node = node;
    this.#shell = shell;
    this.#clone = clone;
  }

  static async at({ root, kubeconfig, program, aws }: Start): Promise<Reader> {
    const place = { root, port: await freePort() };
    const clone = join(root, "clone");
    const scratch = join(root, "scratch");
    for (const name of ["clone", "scratch", "bin", "home/.kube", "tmp", "etc/hallux", "var/lib/hallux", "backup"]) {
      mkdirSync(join(root, name), { recursive: true });
    }
    const own = new Set(["dist", ".git"]);
    for (const name of readdirSync(checkout).filter((one) => !own.has(one))) {
      symlinkSync(join(checkout, name), join(clone, name));
    }
    writeFileSync(join(root, "home/.kube/config"), readFileSync(kubeconfig));
    putPrograms(place, program);
    const shell = new Shell({ cwd: clone, scratch, env: environmentAt(place, aws) });
    const node = new Node(place, kubeconfig, program);
    node.provide();
    return new Reader(place, node, shell, clone);
  }

  /** Throws at the first command that does something else than the page says. */
  async follow(page: string): Promise<void> {
    await this.prepare(page);
    await this.do(stepsOf(readFileSync(join(checkout, page), "utf8")), page);
    await this.#stopServer();
  }

  async do(steps: readonly Step[], page: string): Promise<void> {
    const files = steps.filter((step) => step.kind === "file");
    // The last written first: what a page shows first is there at its start.
    files.toReversed().forEach((file) => void this.#write(file));
    for (const step of steps) {
      await this.#take(step, page);
    }
  }

  async #take(step: Step, page: string): Promise<void> {
    if (step.kind === "file") {
      return this.#write(step);
    }
    if (notRun.some(({ command }) => command.test(step.text))) {
      return;
    }
    const command = { ...step, shows: step.shows === undefined ? undefined : this.#substituted(step.shows) };
    const ended = await this.#run(command);
    if (!isAsShown(command, ended)) {
      throw new Error(this.#complaint(command, ended, page));
    }
    if (changesRelease.test(step.text)) {
      await this.#node.look();
    }
    const [, namespace] = createsNamespace.exec(step.text) ?? [];
    if (namespace !== undefined) {
      this.#node.kubectl(["wait", "--for=create", "serviceaccount/default", "-n", namespace, "--timeout=1m"]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stopServer();
    await this.#shell[Symbol.asyncDispose]();
    await this.#node[Symbol.asyncDispose]();
    tidy(this.#node);
  }

  read(name: string): string {
    return readFileSync(join(this.#clone, name), "utf8");
  }

  /** Does what a page takes for granted. */
  async prepare(page: string): Promise<void> {
    const given = join(import.meta.dirname, "given", `${page.replaceAll("/", "-").replace(".md", "")}.sh`);
    if (existsSync(given)) {
      await this.do(commandsOf(readFileSync(given, "utf8"), 1), given);
    }
  }

  #write({ name, text }: File): void {
    writeFileSync(join(this.#clone, name), this.#substituted(text));
  }

  async #run(command: Command): Promise<Ended> {
    const text = this.#substituted(command.text);
    if (staysUp.test(command.text)) {
      return this.#serve(text);
    }
    const deadline = Date.now() + (onlyReads.test(command.text) ? 60_000 : 0);
    for (;;) {
      const ended = await this.#shell.run(text);
      if (Date.now() >= deadline || isAsShown(command, ended)) {
        return ended;
      }
      await pause(200);
    }
  }

  async #serve(text: string): Promise<Ended> {
    const { root, port } = this.#place;
    await this.#stopServer();
    // A release would answer in its place.
    await this.#node.stop();
    const quoted = `'${text.replaceAll("'", "'\\''")}'`;
    await this.#shell.run(
      `LISTEN_PORT=${port} SHUTDOWN_DELAY_SECONDS=0 setsid bash -c ${quoted} >${root}/hallux.log 2>&1 & server=$!`,
    );
    await untilListening(port, this.#node.log);
    return { code: 0, output: "" };
  }

  async #stopServer(): Promise<void> {
    await this.#shell.run('[ -z "$server" ] || { kill -- -"$server"; wait "$server"; server=; }');
  }

  #substituted(text: string): string {
    return substitutionsAt(this.#place).reduce((left, { what, by }) => left.replaceAll(what, by), text);
  }

  #complaint({ line, text, shows }: Command, { code, output }: Ended, page: string): string {
    const log = existsSync(this.#node.log) ? readFileSync(this.#node.log, "utf8").slice(-3000) : "";
    const expected = shows === undefined ? "" : `\n--- the page shows:\n${shows}`;
    return `${page}:${line}: ${text}\n--- ended with ${code} and printed:\n${output}${expected}\n--- the end of Hallux's log:\n${log}`;
  }
}

/** An exit code other than 0 is all right where the page shows what is said then. */
function isAsShown({ text, shows }: Command, { code, output }: Ended): boolean {
  return shows === undefined ? code === 0 || (code === 1 && mayFindNothing.test(text)) : agrees(shows, output);
}

function putPrograms({ root, port }: Place, program: string): void {
  const scripts = {
    // Its server and those who ask it meet on the port that stands for 2803.
    hallux: `case "$1" in server | responses) export LISTEN_PORT="\${LISTEN_PORT:-${port}}" ;; esac\nexec ${process.execPath} ${program} "$@"`,
    "hallux-log": `cat ${root}/hallux.log`,
    kubectl: `exec ${programNamed("kubectl")} "$@"`,
    helm: `exec ${programNamed("helm")} "$@"`,
  };
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(join(root, "bin", name), `#!/bin/bash\n${script}\n`);
    chmodSync(join(root, "bin", name), 0o755);
  }
}

/** Of the surroundings nothing but where programs are. */
function environmentAt({ root }: Place, aws: string | undefined): NodeJS.ProcessEnv {
  return {
    PATH: `${root}/bin:${root}/global/bin:${process.env["PATH"]}`,
    HOME: `${root}/home`,
    TMPDIR: `${root}/tmp`,
    STATE_DIRECTORY: `${root}/var/lib/hallux`,
    npm_config_prefix: `${root}/global`,
    npm_config_offline: "true",
    npm_config_update_notifier: "false",
    AWS_ENDPOINT_URL: aws,
    AWS_ACCESS_KEY_ID: "moto",
    AWS_SECRET_ACCESS_KEY: "moto",
    AWS_DEFAULT_REGION: "eu-west-1",
    AWS_EC2_METADATA_DISABLED: "true",
  };
}

/** Takes away what the pages made in the cluster. */
function tidy(node: Node): void {
  // Containers that do not heed SIGTERM would have half a minute each.
  const workloads = ["deployments,replicasets,pods", "--all", "--force", "--grace-period=0"];
  for (const namespace of namespaces) {
    node.kubectl(["delete", ...workloads, "-n", namespace]);
  }
  const roles = node.kubectl(["get", "clusterroles,clusterrolebindings,persistentvolumes", "-o", "name"]);
  const ours = roles.split("\n").filter((name) => /\/hallux(:hallux|-guides)?$/.test(name));
  node.kubectl(["delete", "--ignore-not-found", ...namespaces.map((name) => `namespace/${name}`), ...ours]);
}

/** One that the pages would work in, and that is there already. */
export function takenNamespace(kubeconfig: string): string | undefined {
  const args = ["--kubeconfig", kubeconfig, "get", "namespaces", "-o", "name"];
  const there = must(programNamed("kubectl"), args).split("\n");
  return namespaces.find((name) => there.includes(`namespace/${name}`));
}

export function lacks(): string | undefined {
  return ["bash", "curl", "openssl", "jq", "sqlite3", "setsid"].find((program) => !has(program));
}

export function has(program: string): boolean {
  return spawnSync("which", [program]).status === 0;
}
