import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { Config } from "../config/schema.ts";
import type { Problem } from "../schema/problem.ts";
import { Secret } from "../schema/secret.ts";
import { fileProblem } from "../schema/yaml.ts";

/** PEM. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: Secret;
  /** Authorities of client certificates. */
  readonly clientCa: string | undefined;
}

export type TlsReading =
  | { readonly tls: TlsFiles | undefined; readonly problems: readonly [] }
  | { readonly tls: undefined; readonly problems: readonly Problem[] };

/** Reads the files of a configuration that has loaded, and checks that they can be served with. */
export function readTls(settings: Config["tls"], readFile: (path: string) => string): TlsReading {
  const { cert_file: certFile, key_file: keyFile, client_ca_file: clientCaFile } = settings;
  if (certFile === undefined || keyFile === undefined) {
    return { tls: undefined, problems: [] };
  }
  const cert = readFile(certFile);
  const key = readFile(keyFile);
  const clientCa = clientCaFile === undefined ? undefined : readFile(clientCaFile);
  const problems = [
    ...pairProblems({ file: certFile, pem: cert }, { file: keyFile, pem: key }),
    ...(clientCaFile === undefined || clientCa === undefined ? [] : authorityProblems(clientCaFile, clientCa)),
  ];
  return problems.length > 0
    ? { tls: undefined, problems }
    : { tls: { cert, key: new Secret(key), clientCa }, problems: [] };
}

interface Pem {
  readonly file: string;
  readonly pem: string;
}

function pairProblems(cert: Pem, key: Pem): readonly Problem[] {
  const certificate = tryTo(() => new X509Certificate(cert.pem));
  const privateKey = tryTo(() => createPrivateKey(key.pem));
  const unusable = [
    ...(certificate === undefined ? [fileProblem(cert.file, "it holds no certificate (PEM)")] : []),
    ...(privateKey === undefined ? [fileProblem(key.file, "it holds no private key (PEM, without passphrase)")] : []),
  ];
  if (certificate === undefined || privateKey === undefined) {
    return unusable;
  }
  if (!certificate.checkPrivateKey(privateKey)) {
    return [fileProblem(key.file, `it is not the key of the certificate in ${cert.file}`)];
  }
  const fault = faultOf(() => createSecureContext({ cert: cert.pem, key: key.pem }));
  return fault === undefined ? [] : [fileProblem(cert.file, `the certificate cannot be served: ${fault}`)];
}

/** Without a certificate in it every sender would be refused, and Falco would not notice. */
function authorityProblems(file: string, pem: string): readonly Problem[] {
  if (!/-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/.test(pem)) {
    return [fileProblem(file, "it holds no certificate (PEM)")];
  }
  const fault = faultOf(() => createSecureContext({ ca: pem }));
  return fault === undefined ? [] : [fileProblem(file, `its certificates cannot be used: ${fault}`)];
}

function tryTo<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

function faultOf(attempt: () => unknown): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
