import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, matchesGlob } from "node:path";
import type { Metafile } from "esbuild";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { startPlayground } from "../../playground/index.ts";
import { bundle } from "../support/bundle.ts";
import { runHallux } from "../support/hallux-process.ts";
import { missing, prepare, runOnce, type Stage, start } from "./container.ts";
import { argumentOf, readImage } from "./dockerfile.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const root = join(import.meta.dirname, "../..");
const text = (name: string) => readFileSync(join(root, name), "utf8");
const dockerfile = text("Dockerfile");
const image = readImage(dockerfile);

const dist = mkdtempSync(join(tmpdir(), "hallux-dist-"));

beforeAll(() => {
  bundle(dist);
  const sbom = execFileSync(process.execPath, [join(root, "scripts/sbom.ts"), "--outdir", dist]);
  writeFileSync(join(dist, "hallux.cdx.json"), sbom);
});
afterAll(() => rmSync(dist, { recursive: true }));

/** Every file below, with its path from there. */
function filesIn(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(join(directory, name)).isFile())
    .sort();
}

describe("the bundle", () => {
  it("loads its clients and what else is large only where they are used", () => {
    const { outputs } = JSON.parse(readFileSync(join(dist, "maps/meta.json"), "utf8")) as Metafile;
    const loaded = new Set<string>();
    const load = (name: string) => {
      if (loaded.has(name) || outputs[name] === undefined) {
        return;
      }
      loaded.add(name);
      outputs[name].imports.filter(({ kind }) => kind === "import-statement").forEach(({ path }) => void load(path));
    };

    load("hallux.js");
    outputs["hallux.js"]?.imports.forEach(({ path }) => void load(path));

    const packages = [...loaded].flatMap((name) => Object.keys(outputs[name]?.inputs ?? {}));
    const early =
      /node_modules\/(@aws-sdk|@grpc|protobufjs|@smithy|@kubernetes|@nats-io|google-auth-library|nodemailer|pino-pretty|undici)\//;
    expect(packages).toContain("src/main.ts");
    expect(packages.filter((path) => early.test(path))).toEqual([]);
    expect(packages.filter((path) => path.startsWith("playground/"))).toEqual([]);
  });

  it("gives those who load CommonJS while it runs the names that it has in Node", () => {
    const { outputs } = JSON.parse(readFileSync(join(dist, "maps/meta.json"), "utf8")) as Metafile;
    const loaded = Object.values(outputs).flatMap(({ imports }) =>
      imports.filter(({ kind }) => kind === "dynamic-import").map(({ path }) => path),
    );

    const nameless = loaded.filter((path) => outputs[path]?.exports.join() === "default");

    expect(loaded.length).toBeGreaterThan(5);
    expect(nameless).toEqual([]);
  });

  it("writes its log for people, as it does unless it is told otherwise", async () => {
    const state = mkdtempSync(join(tmpdir(), "hallux-log-"));
    onTestFinished(() => rmSync(state, { recursive: true, force: true }));
    const env = { LOG_FORMAT: "text", STATE_DIRECTORY: state };
    await using hallux = runHallux(["server", "-r", join(root, "rules/default.yaml")], env, [join(dist, "hallux.js")]);

    await vi.waitFor(() => expect(hallux.output()).toContain("INFO: hallux is listening"), { timeout: 60_000 });
  });

  it("comes with the licence of every package in it", () => {
    const { outputs } = JSON.parse(readFileSync(join(dist, "maps/meta.json"), "utf8")) as Metafile;
    const paths = Object.values(outputs).flatMap(({ inputs }) => Object.keys(inputs));
    const names = new Set(paths.flatMap((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []));

    const notices = readFileSync(join(dist, "THIRD-PARTY-NOTICES"), "utf8");

    const headings = new Set([...notices.matchAll(/^-{80}\n(\S+) \d/gm)].map(([, name]) => name));
    expect(headings).toEqual(names);
  });

  it("passes on the text of each licence, be it in the README of a package", () => {
    const sections = readFileSync(join(dist, "THIRD-PARTY-NOTICES"), "utf8")
      .split(/^-{80}\n/m)
      .slice(1);

    const bare = sections.map((section) => section.trim()).filter((section) => !section.includes("\n"));

    // The text of Apache-2.0 is in LICENSE.
    expect(bare.filter((heading) => !heading.endsWith("(Apache-2.0)"))).toEqual([]);
    expect(sections.find((section) => section.startsWith("data-uri-to-buffer "))).toContain("Copyright");
  });

  it("is ASCII, which Node keeps in memory at half the size", () => {
    const programs = filesIn(dist).filter((name) => name.endsWith(".js"));

    expect(programs).toContain("hallux.js");
    expect(programs.filter((name) => readFileSync(join(dist, name)).some((byte) => byte > 0x7f))).toEqual([]);
  });

  it("ships no source map and no path of the machine that built it", () => {
    const shipped = filesIn(dist).filter((name) => !name.startsWith("maps/"));

    expect(shipped.filter((name) => name.endsWith(".map"))).toEqual([]);
    expect(shipped.filter((name) => readFileSync(join(dist, name)).includes(root))).toEqual([]);
  });
});

describe("the Dockerfile", () => {
  it("has the Node that development and CI have", () => {
    const { devDependencies } = JSON.parse(text("package.json"));

    expect(argumentOf(dockerfile, "NODE_IMAGE")).toBe(`node:${devDependencies.node}-trixie-slim`);
  });

  it("has the version of the package", () => {
    expect(dockerfile).toContain(`ARG VERSION=${JSON.parse(text("package.json")).version}\n`);
  });

  it("lets nobody be root, listens on 2803 and keeps its state in a volume", () => {
    expect(image).toMatchObject({ user: "65532:65532", ports: [2803], volumes: ["/var/lib/hallux"], cmd: ["server"] });
    expect(image.env["STATE_DIRECTORY"]).toBe("/var/lib/hallux");
    expect(image.env["NODE_OPTIONS"]).toBe(/NODE_OPTIONS=(\S+)`/.exec(text("docs/operations.md"))?.[1]);
  });

  it("gets every source of the bundle from the build context, and no test", () => {
    const { inputs } = JSON.parse(readFileSync(join(dist, "maps/meta.json"), "utf8")) as Metafile;
    const lines = text(".dockerignore").split("\n");
    const allowed = lines.filter((line) => line.startsWith("!")).map((line) => line.slice(1));
    const refused = lines.filter((line) => line.startsWith("**"));
    const isSent = (path: string) =>
      allowed.some((entry) => path === entry || path.startsWith(`${entry}/`)) &&
      !refused.some((glob) => matchesGlob(path, glob) || matchesGlob(dirname(path), glob));
    const own = Object.keys(inputs).filter((path) => !/node_modules\/|^[\w-]+:/.test(path));

    const missing = own.filter((path) => !isSent(path));

    expect(missing).toEqual([]);
    expect(["scripts/build.ts", "package-lock.json", "LICENSE", "README.md"].filter((path) => !isSent(path))).toEqual(
      [],
    );
    expect(
      ["src/hallux.test.ts", "playground/index.ts", "src/cli/fixtures/a.pem", ".git/config"].filter(isSent),
    ).toEqual([]);
  });
});

const lacking = missing();
if (lacking !== undefined) {
  console.warn(`skipped: the image as a container (${lacking})`);
}

describe.skipIf(lacking !== undefined)("the image", () => {
  const rules = `
- rule: Label
  match: { rules: [Test] }
  actions:
    - { action: Mark, actionner: "kubernetes:label", parameters: { labels: { suspicious: "true" } } }
`;
  const args = ["server", "-c", "/etc/hallux/config.yaml", "-r", "/etc/hallux/rules.yaml"];
  const config = "kubeconfig: /etc/hallux/kubeconfig\nshutdown_delay_seconds: 0\n";
  let playground: Awaited<ReturnType<typeof startPlayground>>;
  let stage: Stage;

  beforeAll(async () => {
    playground = await startPlayground();
    const files = { "config.yaml": config, "rules.yaml": rules, kubeconfig: playground.kubeconfig };
    stage = prepare(image, { bundle: dist, config: files });
  });
  afterAll(async () => {
    stage[Symbol.dispose]();
    await playground.close();
  });

  it("holds Node, the bundle, licences and the bill of materials for whoever scans it, and nothing else", () => {
    const files = filesIn(stage.root).filter((name) => !/^(lib|lib64|usr\/lib)\/.*\.so|^dev\//.test(name));

    const shipped = filesIn(dist).filter((name) => !name.startsWith("maps/") && name !== "README.md");
    expect(files).toEqual(
      ["usr/local/bin/node", "usr/local/share/node/LICENSE", ...shipped.map((name) => `opt/hallux/${name}`)].sort(),
    );
  });

  it("says its version", () => {
    const said = runOnce(image, stage, ["--version"]);

    expect(said).toBe(`${JSON.parse(text("package.json")).version}\n`);
  });

  it("answers an event from end to end, without privileges, and writes to its state alone", async () => {
    await using container = await start(image, stage, args);
    await playground.seed([
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "cart", namespace: "shop" },
        spec: { containers: [{ name: "main", image: "busybox" }] },
      },
    ]);
    const event = {
      rule: "Test",
      priority: "Warning",
      output_fields: { "k8s.ns.name": "shop", "k8s.pod.name": "cart" },
    };

    const answer = await fetch(container.url, { method: "POST", body: JSON.stringify(event) });

    expect(answer.status).toBe(202);
    await vi.waitFor(() => expect(container.output()).toContain('"msg":"action ended"'), { timeout: 60_000 });
    expect(container.output()).toContain('"status":"success"');
    const pod = await fetch(`${playground.url}/api/v1/namespaces/shop/pods/cart`, {
      headers: { authorization: `Bearer ${playground.token}` },
    });
    expect(await pod.json()).toMatchObject({ metadata: { labels: { suspicious: "true" } } });
    expect(statusOf(container.pid)).toEqual({
      Uid: "65532",
      Gid: "65532",
      CapEff: "0000000000000000",
      NoNewPrivs: "1",
    });
    expect(writableMounts(container.pid)).toEqual(["/var/lib/hallux"]);
    expect(readdirSync(stage.state)).toContain("ledger.db");
  });

  it("ends in order as the first process of its container", async () => {
    await using container = await start(image, stage, args);

    const code = await container.stop();

    expect(code).toBe(0);
    expect(container.output()).toContain("hallux has stopped");
  });
});

function statusOf(pid: number): Record<string, string | undefined> {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const names = ["Uid", "Gid", "CapEff", "NoNewPrivs"];
  return Object.fromEntries(names.map((name) => [name, new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(status)?.[1]]));
}

/** Of what the process sees of the file system, what is mounted for writing; /proc and devices apart. */
function writableMounts(pid: number): readonly string[] {
  return readFileSync(`/proc/${pid}/mountinfo`, "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, , , , point = "", options = ""]) => /(^|,)rw/.test(options) && !/^\/(proc|dev)(\/|$)/.test(point))
    .map(([, , , , point = ""]) => point);
}
