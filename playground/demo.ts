import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clusterOf } from "./demo/cluster.ts";
import { eventOf } from "./demo/falco.ts";
import { type HalluxProcess, serverArguments, startHallux } from "./demo/hallux-process.ts";
import { Screen } from "./demo/screen.ts";
import { shop } from "./demo/shop.ts";
import { podOf, show } from "./demo/show.ts";
import { type Playground, startPlayground } from "./index.ts";

const usage = "usage: npm run demo [-- --once]    --once ends after the show\n";
const usualPort = 2803;
const interrupted = Symbol("interrupted");

const { argv, stdout, stderr } = process;
const options = argv.slice(2);

if (options.some((option) => option !== "--once")) {
  stderr.write(usage);
  process.exitCode = 2;
} else {
  process.exitCode = await demo(options.includes("--once"));
}

/** Resolves with the exit code when everything is stopped. */
async function demo(once: boolean): Promise<number> {
  const stopAsked = askedToStop();
  const directory = await mkdtemp(join(tmpdir(), "hallux-demo-"));
  const playground = await startPlayground();
  try {
    return await present({ screen: new Screen(stdout), playground, directory, stopAsked, once });
  } catch (error) {
    stderr.write(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await playground.close();
    await rm(directory, { recursive: true });
  }
}

interface Stage {
  readonly screen: Screen;
  readonly playground: Playground;
  readonly directory: string;
  readonly stopAsked: Promise<typeof interrupted>;
  readonly once: boolean;
}

async function present({ screen, playground, directory, stopAsked, once }: Stage): Promise<number> {
  screen.title("Hallux demo: a small shop on an embedded Kubernetes API, five attacks as Falco reports them,");
  screen.title("and what Hallux, the real process with rules files, makes of them.");
  await playground.seed(shop);
  const cluster = clusterOf(playground);
  screen.step("The cluster before");
  screen.pods(await cluster.pods());

  const kubeconfig = join(directory, "kubeconfig");
  await writeFile(kubeconfig, playground.kubeconfig, { mode: 0o600 });
  const hallux = await start(screen, kubeconfig, join(directory, "hallux.log"));
  try {
    if ((await Promise.race([show({ screen, cluster, hallux, directory }), stopAsked])) === interrupted) {
      return 130;
    }
    if (once) {
      return 0;
    }
    await invite({ screen, cluster, hallux, directory });
    if ((await Promise.race([hallux.ended, stopAsked])) !== interrupted) {
      throw new Error("Hallux ended by itself");
    }
    return 0;
  } finally {
    await hallux.stop();
  }
}

async function start(screen: Screen, kubeconfig: string, logFile: string): Promise<HalluxProcess> {
  screen.step("Hallux starts");
  const port = (await isFree(usualPort)) ? usualPort : 0;
  screen.commands(`$ hallux ${serverArguments.join(" ")}`);

  const hallux = await startHallux({ port, kubeconfig, logFile });

  const instead = port === usualPort ? "" : ` (port ${usualPort} is taken)`;
  const seconds = (hallux.readyAfterMs / 1000).toFixed(1);
  screen.line("Hallux", `ready on ${hallux.url}${instead} after ${seconds} s with ${hallux.rules} rules`);
  return hallux;
}

function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = createServer();
  probe.once("error", () => resolve(false));
  probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  return promise;
}

/** What to try while it stays up; what Hallux does then is told as it happens. */
async function invite({ screen, cluster, hallux, directory }: Parameters<typeof show>[0]): Promise<void> {
  const pod = podOf("shop/cart", (await cluster.pods()).toReversed());
  const file = join(directory, "next-event.json");
  await writeFile(file, await eventOf("reverse-shell", pod));
  screen.step("Your turn: everything stays up until Ctrl-C");
  screen.commands(
    `export KUBECONFIG=${join(directory, "kubeconfig")}`,
    "kubectl get pods -A --show-labels",
    `curl ${hallux.url} -d @${file}`,
    `kubectl describe pod -n shop ${pod.metadata.name}`,
    "kubectl get networkpolicy -A",
    `curl ${hallux.url}/metrics`,
    `less ${join(directory, "hallux.log")}`,
  );
  hallux.follow((entry) => {
    if (entry.msg === "action ended") {
      screen.action(entry);
    }
  });
}

/** Resolves at Ctrl-C, also where the terminal closes. */
function askedToStop(): Promise<typeof interrupted> {
  const { promise, resolve } = Promise.withResolvers<typeof interrupted>();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => resolve(interrupted));
  }
  return promise;
}
