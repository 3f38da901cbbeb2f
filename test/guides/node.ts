import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { mount, type Namespace, writeTokenOf } from "../chart/deployed.ts";
import { must, programNamed, type Rendered } from "../chart/helm.ts";
import type { Place } from "./plan.ts";

/**
 * What a cluster with images and volumes would do about a release of the chart: have a volume for its claim, mount its files, run Hallux with its
 * arguments and the token of its account, and restart it when the Deployment says something else.
 */
export class Node implements AsyncDisposable {
  readonly #place: Place;
  readonly #kubeconfig: string;
  readonly #program: string;
  #template: string | undefined;
  #hallux: ChildProcess | undefined;

  constructor(place: Place, kubeconfig: string, program: string) {
    this.#place = place;
    this.#kubeconfig = kubeconfig;
    this.#program = program;
  }

  get log(): string {
    return join(this.#place.root, "hallux.log");
  }

  /** Has a volume at hand for the release to come. */
  provide(): void {
    this.kubectl(["apply", "-f", "-"], JSON.stringify(volume));
  }

  /** Acts on what is in the cluster by now. */
  async look(): Promise<void> {
    const found = this.kubectl(["get", "deployment/hallux", "--ignore-not-found", "-o", "json"]);
    if (found === "") {
      return this.stop();
    }
    const deployment: Rendered = JSON.parse(found);
    const template = JSON.stringify(deployment["spec"].template);
    if (template === this.#template) {
      mount(deployment, this.#namespace(), this.#etc);
      return;
    }
    await this.stop();
    rmSync(this.#etc, { recursive: true, force: true });
    mount(deployment, this.#namespace(), this.#etc);
    await this.#start(deployment);
    this.#template = template;
  }

  kubectl(args: readonly string[], input = ""): string {
    return must(programNamed("kubectl"), ["--kubeconfig", this.#kubeconfig, "-n", "hallux", ...args], input);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  get #etc(): string {
    return join(this.#place.root, "etc/hallux");
  }

  #namespace(): Namespace {
    return {
      object: (name) => JSON.parse(this.kubectl(["get", name, "-o", "json"])),
      kubectl: (args) => this.kubectl(args),
    };
  }

  async #start(deployment: Rendered): Promise<void> {
    const { root, port } = this.#place;
    const { serviceAccountName, containers } = deployment["spec"].template.spec;
    const { args, env } = containers[0];
    const account = join(root, "account");
    writeTokenOf(serviceAccountName, this.#namespace(), account);
    const own = env.flatMap(({ name, value }: Rendered) => (value === undefined ? [] : [[name, value]]));
    mkdirSync(join(root, "var/lib/hallux"), { recursive: true });
    const log = openSync(this.log, "w");
    const hallux = spawn(
      process.execPath,
      [this.#program, ...args.map((one: string) => one.replace("/etc/hallux", this.#etc))],
      {
        env: {
          ...Object.fromEntries(own),
          PATH: process.env["PATH"],
          HOME: root,
          KUBECONFIG: account,
          POD_NAMESPACE: "hallux",
          STATE_DIRECTORY: join(root, "var/lib/hallux"),
          LISTEN_ADDRESS: "127.0.0.1",
          LISTEN_PORT: String(port),
          SHUTDOWN_DELAY_SECONDS: "0",
        },
        stdio: ["ignore", log, log],
      },
    );
    closeSync(log);
    this.#hallux = hallux;
    await untilListening(port, this.log);
  }

  /** Until the next look. */
  async stop(): Promise<void> {
    const hallux = this.#hallux;
    this.#hallux = undefined;
    this.#template = undefined;
    if (hallux !== undefined && hallux.exitCode === null) {
      const ended = new Promise((resolve) => hallux.once("exit", resolve));
      hallux.kill("SIGTERM");
      await ended;
    }
  }
}

/** Rejects with what was logged where nobody listens there in time. */
export async function untilListening(port: number, log: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await answers(port))) {
    if (Date.now() > deadline) {
      throw new Error(`Hallux does not listen:\n${readFileSync(log, "utf8").slice(-3000)}`);
    }
    await pause(50);
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/** For the claim of the release. */
const volume = {
  apiVersion: "v1",
  kind: "PersistentVolume",
  metadata: { name: "hallux-guides" },
  spec: {
    accessModes: ["ReadWriteOnce"],
    capacity: { storage: "2Gi" },
    hostPath: { path: "/var/lib/hallux" },
    claimRef: { namespace: "hallux", name: "hallux" },
  },
};
