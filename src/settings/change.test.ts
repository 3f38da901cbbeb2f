import { describe, expect, it } from "vitest";
import { realCatalogue } from "../../test/support/real-catalogue.ts";
import { atStartOnly, sectionsOf } from "../config/schema.ts";
import { Secret } from "../schema/secret.ts";
import { changeOf } from "./change.ts";
import { loadSettings, type Settings } from "./load.ts";
import type { TlsFiles } from "./tls.ts";

async function settingsOf(env: Readonly<Record<string, string>>, tls?: TlsFiles): Promise<Settings> {
  const readFile = (path: string) => (path === "rules.yaml" ? "[]" : "");
  const { settings } = await loadSettings({ rulesFiles: ["rules.yaml"], env, catalogue: realCatalogue, readFile });
  if (settings === undefined) {
    throw new Error("the settings do not load");
  }
  return { ...settings, tls };
}

const pair = (cert: string, clientCa?: string): TlsFiles => ({ cert, key: new Secret("k"), clientCa });

describe("a change of the settings", () => {
  it("is in force as a whole where nothing of it is read at start only", async () => {
    const before = await settingsOf({ CONCURRENCY: "1", API_TOKEN: "t" });
    const wanted = await settingsOf({ CONCURRENCY: "2", API_TOKEN: "u", RULES_FILES: "other.yaml" });

    expect(changeOf(before, wanted)).toEqual({ settings: wanted, restartNeeded: [] });
  });

  it("keeps what is read at start only, names it, and takes the rest", async () => {
    const before = await settingsOf({});
    const wanted = await settingsOf({
      CONCURRENCY: "2",
      LISTEN_PORT: "9",
      LEDGER_NATS_PASSWORD: "p",
      LEDGER_NATS_USER: "u",
      LEDGER_RETENTION_AGE_HOURS: "1",
      LOG_FORMAT: "json",
    });

    const { settings, restartNeeded } = changeOf(before, wanted);

    expect(restartNeeded.toSorted()).toEqual([
      "ledger.nats.password",
      "ledger.nats.user",
      "ledger.retention.age_hours",
      "listen_port",
      "log_format",
    ]);
    expect(settings.config).toMatchObject({ concurrency: 2, listen_port: 2803, ledger: before.config.ledger });
  });

  it("names the setting of a file that is read at start only and holds something else", async () => {
    const env = { OTEL_COLLECTOR_CA_FILE: "ca.pem" };
    const before = await settingsOf(env);
    const wanted = { ...before, startFiles: { "otel.collector_ca_file": new Secret("renewed") } };

    const { settings, restartNeeded } = changeOf(before, wanted);

    expect(before.startFiles).toEqual({ "otel.collector_ca_file": new Secret("") });
    expect(restartNeeded).toEqual(["otel.collector_ca_file"]);
    expect(changeOf(settings, wanted).restartNeeded).toEqual(["otel.collector_ca_file"]);
  });

  it("needs no start any more where it was taken back", async () => {
    const before = await settingsOf({});
    const { settings } = changeOf(before, await settingsOf({ LISTEN_PORT: "9" }));

    expect(changeOf(settings, await settingsOf({})).restartNeeded).toEqual([]);
  });

  it.each([
    ["tls.cert_file", undefined, pair("a"), undefined],
    ["tls.cert_file", pair("a"), undefined, pair("a")],
    ["tls.client_ca_file", pair("a"), pair("b", "ca"), pair("b")],
    ["tls.client_ca_file", pair("a", "ca"), pair("b"), pair("b", "ca")],
  ])("keeps %s given or absent", async (setting, inForce, wanted, result) => {
    const { settings, restartNeeded } = changeOf(await settingsOf({}, inForce), await settingsOf({}, wanted));

    expect(restartNeeded).toEqual([setting]);
    expect(settings.tls).toEqual(result);
  });

  it("takes other certificates and authorities", async () => {
    const { settings, restartNeeded } = changeOf(
      await settingsOf({}, pair("a", "x")),
      await settingsOf({}, pair("b", "y")),
    );

    expect(restartNeeded).toEqual([]);
    expect(settings.tls).toEqual(pair("b", "y"));
  });
});

it("names only settings and sections that there are", () => {
  const known = sectionsOf(realCatalogue).flatMap(({ path, fields }) => [
    path.join("."),
    ...(path.length === 0 ? Object.keys(fields) : []),
  ]);

  expect(atStartOnly.filter((name) => !known.includes(name))).toEqual([]);
});
