import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { bundle } from "../support/bundle.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const rules = join(import.meta.dirname, "../../rules/default.yaml");
const directory = mkdtempSync(join(tmpdir(), "hallux-pack-"));
const user = join(directory, "user");
// Offline: whatever it still had to fetch would fail.
const offline = ["--offline", "--no-audit", "--no-fund", "--cache", join(directory, "cache")];

beforeAll(() => {
  const dist = join(directory, "dist");
  bundle(dist);
  const packed = execFileSync("npm", ["pack", dist, "--json", "--pack-destination", directory], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  expect(packed).toContain(`hallux-${manifest.version}.tgz`);
  mkdirSync(user);
  writeFileSync(join(user, "package.json"), "{}\n");
  const tarball = join(directory, `hallux-${manifest.version}.tgz`);
  execFileSync("npm", ["install", ...offline, tarball], { cwd: user, stdio: "ignore" });
});
afterAll(() => rmSync(directory, { recursive: true }));

function npxHallux(...args: readonly string[]) {
  return spawnSync("npx", ["--offline", "hallux", ...args], { cwd: user, encoding: "utf8" });
}

it("is installed from the tarball alone, without another package", () => {
  const packages = readdirSync(join(user, "node_modules")).filter((name) => !name.startsWith("."));

  expect(packages).toEqual(["hallux"]);
  expect(existsSync(join(user, "node_modules/hallux/THIRD-PARTY-NOTICES"))).toBe(true);
  expect(existsSync(join(user, "node_modules/hallux/maps"))).toBe(false);
});

it("checks rules as `npx hallux rules check`", () => {
  const { stdout, status } = npxHallux("rules", "check", "-r", rules);

  expect(stdout).toMatch(/^\d+ rules, \d+ actions: no problems\n$/);
  expect(status).toBe(0);
});

it("fails where rules are wrong, and says where", () => {
  writeFileSync(join(user, "wrong.yaml"), "- rule: x\n  match: { rulez: [y] }\n");

  const { stderr, status } = npxHallux("rules", "check", "-r", "wrong.yaml");

  expect(stderr).toContain("wrong.yaml:2:12");
  expect(status).toBe(1);
});

it("says its version", () => {
  const { stdout } = npxHallux("--version");

  expect(stdout).toBe(`${manifest.version}\n`);
});

it.each(["20.20.2", "22.19.0", "23.11.1"])(
  "says by one line that Node %s is too old, whatever that one lacks",
  (version) => {
    const older = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } })`;
    const program = join(user, "node_modules/hallux/hallux.js");
    // Without SQLite whoever imports it fails before the first line.
    const options = ["--no-experimental-sqlite", "--import", `data:text/javascript,${encodeURIComponent(older)}`];

    const { stdout, stderr, status } = spawnSync(process.execPath, [...options, program, "--help"], {
      encoding: "utf8",
    });

    expect(stderr).toBe(`hallux: needs Node 24 or later, and this is Node ${version}\n`);
    expect(stdout).toBe("");
    expect(status).toBe(1);
  },
);

it("has a software bill of materials that names every package in it", () => {
  const script = join(import.meta.dirname, "../../scripts/sbom.ts");

  const sbom = spawnSync(process.execPath, [script, "--outdir", join(directory, "dist")], { encoding: "utf8" });

  const notices = readFileSync(join(user, "node_modules/hallux/THIRD-PARTY-NOTICES"), "utf8");
  const { bomFormat, metadata, components } = JSON.parse(sbom.stdout) as {
    readonly bomFormat: string;
    readonly metadata: { readonly component: { readonly name: string; readonly version: string } };
    readonly components: readonly { readonly name: string; readonly version: string }[];
  };

  expect(bomFormat).toBe("CycloneDX");
  expect(metadata.component).toMatchObject({ name: "hallux", version: manifest.version });
  const named = components.map(({ name, version }) => `${name} ${version}`);
  const bundled = [...notices.matchAll(/^-{80}\n(\S+ \S+)/gm)].map(([, heading]) => heading as string);
  expect(new Set(named)).toEqual(new Set(bundled));
});
