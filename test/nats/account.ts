import { nkeys } from "@nats-io/transport-node";

export interface Account {
  /** For the server: an operator, and one account that may use JetStream. */
  readonly config: string;
  /** For a user of the account: the text of its `.creds` file. */
  readonly credentials: string;
}

const unlimited = { subs: -1, data: -1, payload: -1 };
const accountLimits = { ...unlimited, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
const jetStreamLimits = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

/** Signed by an operator of our own, as `nsc` would make it. */
export function createAccount(): Account {
  const [operator, system, account] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createAccount()];
  const user = nkeys.createUser();
  const operatorJwt = sign(operator, operator, { type: "operator" });
  const systemJwt = sign(system, operator, { type: "account", limits: accountLimits });
  const accountJwt = sign(account, operator, { type: "account", limits: { ...accountLimits, ...jetStreamLimits } });
  const userJwt = sign(user, account, { type: "user", pub: {}, sub: {}, ...unlimited });
  const seed = new TextDecoder().decode(user.getSeed());

  return {
    config: [
      `operator: ${operatorJwt}`,
      `system_account: ${system.getPublicKey()}`,
      "resolver: MEMORY",
      `resolver_preload { ${system.getPublicKey()}: ${systemJwt}, ${account.getPublicKey()}: ${accountJwt} }`,
    ].join("\n"),
    credentials: [
      "-----BEGIN NATS USER JWT-----",
      userJwt,
      "------END NATS USER JWT------",
      "",
      "-----BEGIN USER NKEY SEED-----",
      seed,
      "------END USER NKEY SEED------",
      "",
    ].join("\n"),
  };
}

function sign(subject: nkeys.KeyPair, issuer: nkeys.KeyPair, nats: Readonly<Record<string, unknown>>): string {
  const claims = {
    jti: crypto.randomUUID(),
    iat: Math.floor(Date.now() / 1000),
    iss: issuer.getPublicKey(),
    sub: subject.getPublicKey(),
    name: "hallux",
    nats: { ...nats, version: 2 },
  };
  const body = `${encoded({ typ: "JWT", alg: "ed25519-nkey" })}.${encoded(claims)}`;
  return `${body}.${Buffer.from(issuer.sign(Buffer.from(body))).toString("base64url")}`;
}

function encoded(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
