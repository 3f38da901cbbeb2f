import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { crashAnnotation } from "./controllers/kubelet.ts";
import { type Playground, startPlayground } from "./index.ts";
import { deploymentSeed, podSeed } from "./testing.ts";

const run = promisify(execFile);
const kubectl = [
  join(import.meta.dirname, "../../shared/cluster/kubectl"),
  ...(process.env["PATH"] ?? "").split(delimiter).map((directory) => join(directory, "kubectl")),
].find((path) => existsSync(path));

const manifests = `
apiVersion: v1
kind: Namespace
metadata: { name: applied }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings, namespace: applied }
data: { mode: "IMAGE" }
---
apiVersion: v1
kind: Pod
metadata: { name: single, namespace: applied, labels: { app: single } }
spec: { containers: [{ name: web, image: "nginx:IMAGE" }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: cart, namespace: applied }
spec:
  replicas: 2
  selector: { matchLabels: { app: cart } }
  template:
    metadata: { labels: { app: cart } }
    spec: { containers: [{ name: web, image: "nginx:IMAGE" }] }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: closed, namespace: applied }
spec: { podSelector: { matchLabels: { app: cart } }, policyTypes: [Egress] }
`;

describe.skipIf(kubectl === undefined)(
  "the real kubectl (skipped where there is none)",
  () => {
    let playground: Playground;
    let directory: string;

    beforeAll(async () => {
      playground = await startPlayground();
      directory = await mkdtemp(join(tmpdir(), "kubectl-"));
      await writeFile(join(directory, "kubeconfig"), playground.kubeconfig);
      await playground.seed([
        podSeed("web-1", { labels: { app: "web" } }),
        podSeed("crashed", { annotations: { [crashAnnotation]: "web" } }),
        deploymentSeed("cart", 2),
      ]);
    });

    afterAll(async () => {
      await playground.close();
      await rm(directory, { recursive: true });
    });

    async function k(...args: readonly string[]): Promise<string> {
      const { stdout, stderr } = await run(kubectl ?? "", [...args, `--cache-dir=${directory}`], {
        env: { KUBECONFIG: join(directory, "kubeconfig"), HOME: directory, PATH: process.env["PATH"] },
        timeout: 20_000,
      }).catch((error: { stdout: string; stderr: string }) => error);
      return stdout + stderr;
    }

    const inShop = (...args: readonly string[]) => k("-n", "shop", ...args);
    const file = async (image: string) => {
      await writeFile(join(directory, "all.yaml"), manifests.replaceAll("IMAGE", image));
      return join(directory, "all.yaml");
    };

    it("gets pods as a table, with labels, and by selector", async () => {
      const table = await k("get", "pods", "-A", "-o", "wide", "--show-labels");
      const chosen = await inShop(
        "get",
        "pods",
        "-l",
        "app=web",
        "--field-selector=status.phase=Running",
        "-o",
        "name",
      );

      expect(table).toMatch(/^NAMESPACE +NAME +READY +STATUS +RESTARTS +AGE +IP +NODE .* LABELS$/m);
      expect(table).toMatch(/^shop +web-1 +1\/1 +Running +0 +\d+s +10\.244\.\d+\.\d+ +node-\d .* app=web$/m);
      expect(table).toMatch(/^shop +crashed +0\/1 +CrashLoopBackOff +1 \(\d+s ago\) /m);
      expect(chosen).toBe("pod/web-1\n");
    });

    it.each([
      ["nodes", /node-1 +Ready +worker +\d+s +v1\.36\.3/],
      ["deploy,rs", /deployment\.apps\/cart +2\/2 +2 +2 /],
      ["events", /Normal +Started +pod\/web-1 +Started container web/],
      ["pod/web-1 -o yaml", /phase: Running/],
      ["pod/nope", /Error from server \(NotFound\): pods "nope" not found/],
    ])("gets %s", async (what, expected) => {
      expect(await inShop("get", ...what.split(" "))).toMatch(expected);
    });

    it("describes a pod with its events", async () => {
      const text = await inShop("describe", "pod", "web-1");

      expect(text).toMatch(/Status: +Running/);
      expect(text).toMatch(/Normal +Scheduled +.* Successfully assigned shop\/web-1 to node-/);
    });

    it("labels, annotates, and hears what is wrong with a label", async () => {
      const said = [
        await inShop("label", "pod", "web-1", "suspicious=true"),
        await inShop("label", "pod", "web-1", "suspicious-"),
        await inShop("annotate", "pod", "web-1", "note=x"),
        await inShop("label", "pod", "web-1", "a=bad value!"),
      ];

      expect(said).toEqual([
        "pod/web-1 labeled\n",
        "pod/web-1 unlabeled\n",
        "pod/web-1 annotated\n",
        expect.stringContaining("a valid label must be an empty string or consist of alphanumeric characters"),
      ]);
    });

    it("cordons and uncordons", async () => {
      const cordoned = await k("cordon", "node-2");
      const shown = await k("get", "node", "node-2");

      expect(cordoned).toBe("node/node-2 cordoned\n");
      expect(shown).toContain("Ready,SchedulingDisabled");
      expect(await k("uncordon", "node-2")).toBe("node/node-2 uncordoned\n");
    });

    it("reads logs", async () => {
      playground.log("shop", "web-1", "web", ["one", "two"]);
      playground.log("shop", "crashed", "web", ["panic"], { previous: true });

      expect(await inShop("logs", "web-1", "--tail=1")).toBe("two\n");
      expect(await inShop("logs", "crashed", "--previous")).toBe("panic\n");
    });

    it("executes", async () => {
      expect(await inShop("exec", "web-1", "--", "sh", "-c", "echo hi; exit 3")).toBe(
        "hi\ncommand terminated with exit code 3\n",
      );
    });

    it.each([
      ["client", []],
      ["server", ["--server-side"]],
    ])("applies on the %s side, and changes what it applied", async (side, flags) => {
      const first = await k("apply", ...flags, "-f", await file(`1-${side}`));
      const second = await k("apply", ...flags, "-f", await file(`2-${side}`));

      expect(first).toMatch(/deployment\.apps\/cart (created|configured|serverside-applied)/);
      expect(second).toMatch(/pod\/single (configured|serverside-applied)/);
      expect(await k("get", "pod", "single", "-n", "applied", "-o", "jsonpath={.spec.containers[*].image}")).toBe(
        `nginx:2-${side}`,
      );
    });

    it.each([
      [["create", "namespace", "made"], "namespace/made created\n"],
      [["create", "configmap", "made", "--from-literal=a=b"], "configmap/made created\n"],
      [["create", "deployment", "made", "--image=nginx"], "deployment.apps/made created\n"],
      [["create", "role", "made", "--verb=get", "--resource=pods"], "role.rbac.authorization.k8s.io/made created\n"],
      [["run", "made", "--image=nginx"], "pod/made created\n"],
      [["auth", "can-i", "delete", "pods"], "yes\n"],
    ])("does %j", async (command, expected) => {
      expect(await k(...command)).toBe(expected);
    });

    it("deletes, and waits until it is done", async () => {
      await playground.seed([podSeed("doomed"), podSeed("forced")]);

      const said = [await inShop("delete", "pod", "doomed"), await inShop("delete", "pod", "forced", "--force")];

      // Newer ones name the namespace.
      expect(said[0]).toMatch(/^pod "doomed" deleted( from shop namespace)?\n$/);
      expect(said[1]).toContain('pod "forced" force deleted');
      expect(await inShop("get", "pod", "doomed", "forced")).toMatch(/NotFound.*NotFound/s);
    });

    it("watches", async () => {
      const watching = inShop("get", "pods", "-w", "--no-headers", "--request-timeout=10s");
      await expect.poll(() => playground.requests.at(-1)?.verb, { timeout: 15_000 }).toBe("watch");

      await playground.seed([podSeed("newcomer")]);

      expect(await watching).toMatch(/newcomer +1\/1 +Running/);
    });
  },
  60_000,
);
