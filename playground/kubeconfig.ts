import { stringify } from "yaml";

/**
 * kubectl sends a token over TLS only, so the server's address holds it as well: exec runs commands on this machine, and
 * must not be open to everyone who can reach the port (another user, a web page).
 * client-node speaks plain HTTP only where TLS need not be verified.
 */
export function kubeconfigOf(url: string, token: string): string {
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "playground", cluster: { server: `${url}/token/${token}`, "insecure-skip-tls-verify": true } }],
    users: [{ name: "playground", user: { token } }],
    contexts: [{ name: "playground", context: { cluster: "playground", user: "playground" } }],
    "current-context": "playground",
  });
}
