import { fileURLToPath } from "node:url";
import { setTimeout as pause } from "node:timers/promises";
import { type Playground, startPlayground } from "../../playground/index.ts";
import { type HalluxProcess, runHallux } from "../support/hallux-process.ts";
import { type HttpPeer, httpPeer } from "../support/http-peer.ts";
import { workplace } from "../support/workplace.ts";
import { type PlannedEvent, pods, type Round } from "./plan.ts";
import { createRandom, type Random } from "./random.ts";
import { labelOf, ruleOf, type Told } from "./verdict.ts";

/** All that Hallux works on in one round: a cluster, a function, a webhook, and a ledger that outlives its process. */
export interface World extends AsyncDisposable {
  readonly directory: string;
  readonly calls: ReadonlyMap<string, number>;
  readonly told: readonly Told[];
  /** By pod. */
  labels(): Promise<ReadonlyMap<string, ReadonlySet<string>>>;
  /** `hallux server`, on the ledger that the ones before had. */
  start(env?: Readonly<Record<string, string>>): HalluxProcess;
  /** `hallux ledger check` of it. */
  checkLedger(): HalluxProcess;
}

export const apiToken = "crash-suite";
const namespace = "shop";
/** Nobody else's: another test may still send to who had the port before. */
const unique = crypto.randomUUID();
const functionName = `isolate-${unique}`;
const webhookPath = `/webhook-${unique}`;
const preload = fileURLToPath(new URL("preload.ts", import.meta.url));

export async function createWorld(round: Round, program: string): Promise<World> {
  const random = createRandom(round.seed, -round.number);
  const events = eventsOf(round);
  const playground = await playgroundWithPods();
  const lambda = await lambdaPeer(events, { random, longestMs: round.callMs });
  const webhook = await webhookPeer({ random, longestMs: round.webhookMs });
  const files = workplace({
    kubeconfig: playground.kubeconfig,
    "rules.yaml": JSON.stringify(rulesFor(events)),
  });
  const settings = {
    KUBECONFIG: files.path("kubeconfig"),
    LEDGER_PATH: files.path("ledger"),
    API_TOKEN: apiToken,
    DEFAULT_NOTIFIERS: "webhook",
    NOTIFIERS_WEBHOOK_URL: webhook.peer.url + webhookPath,
    AWS_ENDPOINT_URL_LAMBDA: lambda.peer.url,
    AWS_REGION: "eu-west-1",
    AWS_ACCESS_KEY_ID: "AKIDEXAMPLE",
    AWS_SECRET_ACCESS_KEY: "secret",
    AWS_EC2_METADATA_DISABLED: "true",
    HALLUX_COMMIT_MS: String(round.commitMs),
  };

  return {
    directory: files.directory,
    calls: lambda.calls,
    told: webhook.told,
    labels: () => labelsIn(playground),
    start: (env = {}) =>
      runHallux(["server", "-r", files.path("rules.yaml")], { ...settings, ...env }, ["--import", preload, program]),
    checkLedger: () => runHallux(["ledger", "check", "--path", settings.LEDGER_PATH], {}, [program]),
    async [Symbol.asyncDispose]() {
      await lambda.peer[Symbol.asyncDispose]();
      await webhook.peer[Symbol.asyncDispose]();
      await playground.close();
      files[Symbol.dispose]();
    },
  };
}

function eventsOf({ lives }: Round): readonly PlannedEvent[] {
  return [...new Set(lives.flatMap(({ posts }) => posts.map(({ event }) => event)))];
}

/** For each mark a rule that sets it alone, and one that goes on to call. */
function rulesFor(events: readonly PlannedEvent[]): readonly object[] {
  const call = { action: "Call", actionner: "aws:lambda", parameters: { aws_lambda_name: functionName } };
  const marks = [...new Map(events.map((event) => [event.mark, labelOf(event)]))].flatMap(([mark, label]) => {
    const action = { action: "Mark", actionner: "kubernetes:label", parameters: { labels: { [label]: "true" } } };
    const match = (rule: string) => ({ rules: [rule], output_fields: [`crash.mark=${mark}`] });
    return [
      { rule: `Mark ${mark}`, match: match(ruleOf.label), actions: [action] },
      { rule: `Mark ${mark} and call`, match: match(ruleOf.both), actions: [action, call] },
    ];
  });
  return [{ rule: "Call", match: { rules: [ruleOf.call] }, actions: [call] }, ...marks];
}

async function playgroundWithPods(): Promise<Playground> {
  const playground = await startPlayground({ controllers: false });
  const spec = { containers: [{ name: "main", image: "busybox" }] };
  await playground.seed(pods.map((name) => ({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace }, spec })));
  return playground;
}

async function labelsIn({ url, token }: Playground): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const answer = await fetch(`${url}/api/v1/namespaces/${namespace}/pods`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const { items } = (await answer.json()) as { items: { metadata: { name: string; labels?: object } }[] };
  return new Map(items.map(({ metadata: { name, labels = {} } }) => [name, new Set(Object.keys(labels))]));
}

interface Pace {
  readonly random: Random;
  readonly longestMs: number;
}

/** Counts what it takes on: whole requests, each as Lambda has them, but for those that it refuses. */
async function lambdaPeer(
  events: readonly PlannedEvent[],
  { random, longestMs }: Pace,
): Promise<{ readonly peer: HttpPeer; readonly calls: ReadonlyMap<string, number> }> {
  const calls = new Map<string, number>();
  const refusing = new Set(events.filter(({ throttled }) => throttled).map(({ uuid }) => uuid));
  const peer = await httpPeer(async ({ method, url, headers, body }, response) => {
    // An unused connection that ends just when it is used again is a failure that may not be tried again.
    response.setHeader("connection", "close");
    if (`${method} ${url}` !== `POST /2015-03-31/functions/${functionName}/invocations?Qualifier=%24LATEST`) {
      response.writeHead(404).end();
      return;
    }
    if (body.length !== Number(headers["content-length"])) {
      return;
    }
    const uuid = uuidIn(body);
    if (refusing.delete(uuid)) {
      response.writeHead(429, { "x-amzn-errortype": "TooManyRequestsException" }).end("{}");
      return;
    }
    calls.set(uuid, (calls.get(uuid) ?? 0) + 1);
    await pause(random.integer(0, longestMs));
    response.end("{}");
  });
  return { peer, calls };
}

function uuidIn(body: string): string {
  return (JSON.parse(body) as { uuid: string }).uuid;
}

async function webhookPeer({
  random,
  longestMs,
}: Pace): Promise<{ readonly peer: HttpPeer; readonly told: readonly Told[] }> {
  const told: Told[] = [];
  const peer = await httpPeer(async ({ url, headers, body }, response) => {
    if (url !== webhookPath) {
      response.writeHead(404).end();
      return;
    }
    if (body.length !== Number(headers["content-length"])) {
      return;
    }
    const { event, action, outcome } = JSON.parse(body) as Notified;
    told.push({ uuid: event.uuid, action: action.name, status: outcome.status });
    await pause(random.integer(0, longestMs));
    response.end();
  });
  return { peer, told };
}

interface Notified {
  readonly event: { readonly uuid: string };
  readonly action: { readonly name: string };
  readonly outcome: { readonly status: string };
}
