import { isIPv6 } from "node:net";
import { apiTokenFile } from "../api/token.ts";
import { reasonOf } from "../config/given.ts";
import { type LoadOptions, loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { ledgerDirectory } from "../config/state-directory.ts";
import { CommandFailure } from "./failure.ts";
import { certificatesIn, type HistoryServer } from "./history-client.ts";

export interface HistoryServerDeps extends Omit<LoadOptions, "path"> {
  /** Where the ledger is, unless `ledger.path` says otherwise. */
  readonly stateDirectory: string;
}

/** As given on the command line. */
export interface HistoryServerOptions {
  readonly config?: string;
  readonly server?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
}

/**
 * The server that this configuration runs on this machine, or the one named. The token of the configuration goes only to
 * the configuration's server, or where `-c` was given too. Throws a `CommandFailure`.
 */
export function historyServer(options: HistoryServerOptions, deps: HistoryServerDeps): HistoryServer {
  const config = options.server === undefined || options.config !== undefined ? configOf(options, deps) : undefined;
  const url = options.server === undefined ? urlOf(config) : urlIn(options.server);
  const certificate = options.caFile ?? (options.server === undefined ? config?.tls.cert_file : undefined);
  return {
    url,
    ...tokenOf(options, config, deps),
    trusted: certificate === undefined ? undefined : trustedIn(certificate, deps),
  };
}

function configOf({ config: path }: HistoryServerOptions, deps: HistoryServerDeps): Config {
  const { config, problems } = loadConfig({ ...deps, path });
  if (config === undefined) {
    throw new CommandFailure(problems);
  }
  return config;
}

function urlIn(server: string): URL {
  const url = URL.parse(server);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new CommandFailure(`--server must be a URL, http://… or https://…, not ${JSON.stringify(server)}`);
  }
  return url;
}

function urlOf(config: Config | undefined): URL {
  const { listen_address: address = "", listen_port: port = 0, tls } = config ?? {};
  if (port === 0) {
    throw new CommandFailure("listen_port is 0, any that is free: --server says where the server listens");
  }
  const host = ["", "0.0.0.0", "::"].includes(address) ? "127.0.0.1" : address;
  return new URL(`${tls?.cert_file === undefined ? "http" : "https"}://${isIPv6(host) ? `[${host}]` : host}:${port}`);
}

type Token = Pick<HistoryServer, "token" | "tokenSource">;

function tokenOf({ tokenFile }: HistoryServerOptions, config: Config | undefined, deps: HistoryServerDeps): Token {
  const { HALLUX_API_TOKEN: given = "" } = deps.env;
  if (tokenFile !== undefined) {
    return tokenIn(tokenFile, deps);
  }
  if (given !== "") {
    return checked(given, "HALLUX_API_TOKEN");
  }
  if (config === undefined) {
    throw new CommandFailure("no token for --server: --token-file or HALLUX_API_TOKEN gives it, or -c a configuration");
  }
  return config.api.token === undefined
    ? keptToken(config, deps)
    : { token: config.api.token.reveal(), tokenSource: "api.token" };
}

function keptToken(config: Config, deps: HistoryServerDeps): Token {
  const directory = ledgerDirectory(config.ledger, deps.stateDirectory);
  if (directory === undefined) {
    throw new CommandFailure("no token: the ledger has no directory to keep one in: set api.token, for the server too");
  }
  return tokenIn(apiTokenFile(directory), deps);
}

function tokenIn(file: string, { readFile }: HistoryServerDeps): Token {
  return checked(contentOf(file, readFile, tokenHints).trim(), file);
}

function checked(token: string, tokenSource: string): Token {
  if (!/^[!-~]+$/.test(token)) {
    throw new CommandFailure(`${tokenSource} holds no token: it must be one line of visible ASCII characters`);
  }
  return { token, tokenSource };
}

const tokenHints: Readonly<Record<string, string>> = {
  ENOENT:
    "a server with this ledger keeps its token there when it starts; -c names another server's configuration, --token-file another file",
  EACCES: "run this as the user that the server runs as, or give --token-file",
};

function trustedIn(file: string, { readFile }: HistoryServerDeps): string {
  const pem = contentOf(file, readFile);
  if (!holdsCertificates(pem)) {
    throw new CommandFailure(`${file} holds no certificate (PEM), or a broken one`);
  }
  return pem;
}

function holdsCertificates(pem: string): boolean {
  try {
    return certificatesIn(pem).length > 0;
  } catch {
    return false;
  }
}

function contentOf(
  file: string,
  readFile: HistoryServerDeps["readFile"],
  hints: Readonly<Record<string, string>> = {},
): string {
  try {
    return readFile(file);
  } catch (error) {
    const reason = reasonOf(error);
    const hint = hints[reason];
    throw new CommandFailure(`${file} cannot be read (${reason})${hint === undefined ? "" : `: ${hint}`}`);
  }
}
