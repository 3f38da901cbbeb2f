import { mkdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Playground, startPlayground } from "../playground/index.ts";
import { freePort } from "./support/free-ports.ts";
import { type HalluxProcess, runHallux } from "./support/hallux-process.ts";
import { type Workplace, workplace } from "./support/workplace.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const certificate = (name: string) => fileURLToPath(new URL(`../src/cli/fixtures/${name}`, import.meta.url));

const rules = `
- rule: Mark whoever is attacked
  match:
    rules: [Test]
  actions:
    - action: Mark
      actionner: kubernetes:label
      parameters: { labels: { suspicious: "true" } }
`;

let playground: Playground;
let files: Workplace;

beforeAll(async () => {
  playground = await startPlayground();
  files = workplace({ kubeconfig: playground.kubeconfig, "rules.yaml": rules });
  const spec = { containers: [{ name: "main", image: "busybox" }] };
  await playground.seed([{ apiVersion: "v1", kind: "Pod", metadata: { name: "cart-1", namespace: "shop" }, spec }]);
});

afterAll(async () => {
  files[Symbol.dispose]();
  await playground.close();
});

describe("hallux responses, beside the server", () => {
  it("finds the server and its token by itself, and shows what was done", async () => {
    const env = await environment("plain");
    await using hallux = await attacked(env);

    const list = await output(["responses", "list", "-o", "json", "--target", "pod shop/cart-1"], env);
    const [{ id }] = JSON.parse(list);
    const shown = await output(["responses", "show", id], env);

    expect(hallux.log().filter(({ level }) => level === "error")).toEqual([]);
    expect(statSync(`${env.STATE_DIRECTORY}/api-token`).mode & 0o777).toBe(0o600);
    expect(shown).toContain("output     a \\u001b[2J shell\n");
    expect(shown).toContain("1. Mark (kubernetes:label): success, ");
    expect(shown).toContain("undo       kubectl label pod cart-1 -n shop suspicious-");
  });

  it("still shows it when the server has been started again", async () => {
    const env = await environment("restarted");
    {
      await using first = await attacked(env);
      first.signal("SIGTERM");
      await first.exited;
    }
    await using second = serve(env);
    await second.listening();

    const list = await output(["responses", "list"], env);

    expect(list).toMatch(/^\S+ +\d+s +Mark whoever is attacked +pod shop\/cart-1 +success +kubernetes:label success$/m);
  });

  it("trusts the certificate that the server is configured with, whatever host it names", async () => {
    const tls = { TLS_CERT_FILE: certificate("elsewhere.pem"), TLS_KEY_FILE: certificate("elsewhere-key.pem") };
    const env = { ...(await environment("tls")), ...tls };
    await using hallux = serve(env);
    await hallux.listening();

    const list = await output(["responses", "list"], env);

    expect(list).toBe("no responses\n");
  });

  it("says that no server runs", async () => {
    const env = { ...(await environment("none")), HALLUX_API_TOKEN: "any" };

    const list = await output(["responses", "list"], env);

    expect(list).toContain(`error: nothing listens at http://127.0.0.1:${env.LISTEN_PORT}: is the server running?`);
  });
});

/** A port and a directory of its own. */
async function environment(name: string) {
  const STATE_DIRECTORY = files.path(name);
  mkdirSync(STATE_DIRECTORY);
  return { STATE_DIRECTORY, LISTEN_PORT: String(await freePort()), KUBECONFIG: files.path("kubeconfig") };
}

function serve(env: Readonly<Record<string, string>>): HalluxProcess {
  return runHallux(["server", "-r", files.path("rules.yaml")], env);
}

/** A server that has labelled the pod. */
async function attacked(env: Readonly<Record<string, string>>): Promise<HalluxProcess> {
  const hallux = serve(env);
  const url = await hallux.listening();
  const fields = { "k8s.ns.name": "shop", "k8s.pod.name": "cart-1" };
  const event = { rule: "Test", priority: "Notice", output: "a \u001b[2J shell", output_fields: fields };
  await fetch(url, { method: "POST", body: JSON.stringify(event) });
  await hallux.logged(({ msg }) => msg === "action ended");
  return hallux;
}

async function output(args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  await using command = runHallux(args, env);
  await command.exited;
  return command.output();
}
