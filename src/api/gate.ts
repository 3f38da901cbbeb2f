import type { IncomingMessage } from "node:http";
import { equals, type Secret } from "../schema/secret.ts";
import { ApiRefusal } from "./refusal.ts";

/** Throws an `ApiRefusal` where the request does not present the token. */
export function createGate(token: Secret | undefined): (request: IncomingMessage) => void {
  if (token === undefined) {
    return () => {
      throw new ApiRefusal("not_configured", "nobody may ask for this: set api.token");
    };
  }
  const isToken = equals(token.reveal());
  return ({ headers }) => {
    const [, given = ""] = /^bearer +(\S+) *$/i.exec(headers.authorization ?? "") ?? [];
    if (!isToken(given)) {
      throw new ApiRefusal("unauthorized", "the request does not present the token of the API", {
        expected: "Authorization: Bearer <api.token, or what is in the file api-token in the ledger's directory>",
        headers: { "www-authenticate": 'Bearer realm="hallux api"' },
      });
    }
  };
}
