import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { historyOf, startApi, token } from "../../test/support/history.ts";
import { sampleCatalogue } from "../../test/support/sample-catalogue.ts";
import { createHistoryClient } from "./history-client.ts";
import { type HistoryServerOptions, historyServer } from "./history-server.ts";

const files: Readonly<Record<string, string>> = {
  "/state/api-token": "kept\n",
  "/ca.pem": fixture("ca.pem"),
  "/server.pem": fixture("server.pem"),
  "/server-key.pem": fixture("server-key.pem"),
  "/broken.pem": fixture("ca.pem").replace(/MI\w+/, "MIIB"),
  "/token": "given\n",
  "/empty": "",
  "/two-lines": "a\nb\n",
  "/tls.yaml":
    "{listen_port: 2999, tls: {cert_file: /server.pem, key_file: /server-key.pem}, api: {token_file: /token}}",
  "/any-port.yaml": "listen_port: 0",
  "/one-address.yaml": "listen_address: '::1'",
  "/wrong.yaml": "listen_prot: 1",
};

describe("the server that is asked", () => {
  it("is that of this machine, with the token that it keeps", () => {
    const { url, ...rest } = located({});

    expect(url.origin).toBe("http://127.0.0.1:2803");
    expect(rest).toEqual({ token: "kept", tokenSource: "/state/api-token", trusted: undefined });
  });

  it("is that of the configuration: its port, its certificate, its token", () => {
    const { url, ...rest } = located({ config: "/tls.yaml" });

    expect(url.origin).toBe("https://127.0.0.1:2999");
    expect(rest).toEqual({ token: "given", tokenSource: "api.token", trusted: fixture("server.pem") });
  });

  it("is the address that it listens at, where that is not every one", () => {
    expect(located({ config: "/one-address.yaml" }).url.origin).toBe("http://[::1]:2803");
  });

  it("is the one named, with the token given for it", () => {
    const { url, ...rest } = located({ server: "https://hallux.example.org", tokenFile: "/token", caFile: "/ca.pem" });

    expect(url.origin).toBe("https://hallux.example.org");
    expect(rest).toEqual({ token: "given", tokenSource: "/token", trusted: fixture("ca.pem") });
  });

  it("is told the token by a file before the environment, and by the environment before the configuration", () => {
    const env = { HALLUX_API_TOKEN: "in-the-environment" };

    const tokens = [{ tokenFile: "/token" }, { config: "/tls.yaml" }, {}].map((options) => located(options, env).token);

    expect(tokens).toEqual(["given", "in-the-environment", "in-the-environment"]);
  });

  it("is not told a token of this machine where it is another one", () => {
    const env = { API_TOKEN: "of something else" };

    expect(() => located({ server: "http://elsewhere" }, env)).toThrow(
      "no token for --server: --token-file or HALLUX_API_TOKEN gives it, or -c a configuration",
    );
  });

  it.each(["two\nlines", "ключ", "a blank"])("is not told a token that no header can hold: %j", (given) => {
    const env = { HALLUX_API_TOKEN: given };

    expect(() => located({}, env)).toThrow("HALLUX_API_TOKEN holds no token: it must be one line of visible ASCII");
  });
});

describe("what the command line cannot go on with", () => {
  it.each([
    [
      "no server keeps its token there",
      {},
      "/nowhere",
      "/nowhere/api-token cannot be read (ENOENT): a server with this",
    ],
    ["a token file that is not there", { tokenFile: "/not" }, "/state", "/not cannot be read (ENOENT): "],
    ["a token that is another user's", {}, "/root", "/root/api-token cannot be read (EACCES): run this as the user"],
    ["an empty token", { tokenFile: "/empty" }, "/state", "/empty holds no token"],
    ["a token with a line break", { tokenFile: "/two-lines" }, "/state", "/two-lines holds no token"],
    ["no port", { config: "/any-port.yaml" }, "/state", "listen_port is 0, any that is free: --server says where"],
    ["no URL", { server: "localhost:2803" }, "/state", "--server must be a URL, http://… or https://…, not"],
    ["a certificate that is none", { caFile: "/token" }, "/state", "/token holds no certificate (PEM)"],
    [
      "a broken certificate",
      { caFile: "/broken.pem" },
      "/state",
      "/broken.pem holds no certificate (PEM), or a broken",
    ],
    ["a configuration that does not load", { config: "/wrong.yaml" }, "/state", "/wrong.yaml:1:1: error: unknown key"],
  ])("%s", (_, options, stateDirectory, message) => {
    expect(() => located(options, {}, stateDirectory)).toThrow(message);
  });
});

describe("a server with TLS", () => {
  it.each([
    ["an authority signed its certificate", "server", "ca"],
    ["its certificate is given itself", "server", "server"],
    ["its certificate is given itself, and names another host", "elsewhere", "elsewhere"],
  ])("is trusted where %s", async (_, served, trusted) => {
    const url = await startTls(served);

    const ask = createHistoryClient({ url, token, tokenSource: "", trusted: fixture(`${trusted}.pem`) });
    const page = await ask("/api/v1/responses");

    expect(page["responses"]).toEqual([]);
  });

  it.each([
    ["nobody known signed its certificate", "server", undefined],
    ["another authority signed its certificate", "elsewhere", fixture("ca.pem")],
    ["its certificate names another host", "elsewhere", fixture("authority.pem")],
    ["another certificate is given", "elsewhere", fixture("server.pem")],
  ])("is told no token where %s", async (_, served, trusted) => {
    const url = await startTls(served);

    const asking = createHistoryClient({ url, token, tokenSource: "", trusted })("/api/v1/responses");

    await expect(asking).rejects.toThrow(/^the certificate of https:.* is not trusted \(\w+\): --ca-file names/);
  });

  it("is not taken for one without, nor the other way round", async () => {
    const tls = await startTls("server");
    const { url: plain } = await startApi(historyOf([]));

    const asPlain = createHistoryClient(peer(tls.href.replace("https:", "http:")))("/api/v1/responses");
    const asTls = createHistoryClient(peer(plain.replace("http:", "https:")))("/api/v1/responses");

    await expect(asPlain).rejects.toThrow("ended the connection without an answer: is it https://, or stopping?");
    await expect(asTls).rejects.toThrow(/does not speak HTTPS \(\w+\): is it http:\/\/\?/);
  });
});

function peer(url: string) {
  return { url: new URL(url), token, tokenSource: "", trusted: undefined };
}

async function startTls(name: string): Promise<URL> {
  const tls = { cert: fixture(`${name}.pem`), key: fixture(`${name}-key.pem`) };
  const { url } = await startApi(historyOf([]), {}, tls);
  return new URL(url);
}

function located(options: HistoryServerOptions, env: Readonly<Record<string, string>> = {}, stateDirectory = "/state") {
  return historyServer(options, {
    catalogue: sampleCatalogue(),
    env,
    stateDirectory,
    readFile: (path) => {
      const content = files[path];
      if (content === undefined) {
        throw Object.assign(new Error(), { code: path.startsWith("/root") ? "EACCES" : "ENOENT" });
      }
      return content;
    },
  });
}

function fixture(name: string): string {
  const folder = /^(authority|elsewhere)/.test(name) ? "fixtures" : "../intake/fixtures";
  return readFileSync(new URL(`${folder}/${name}`, import.meta.url), "utf8");
}
