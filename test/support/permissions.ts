import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ClientRequest } from "node:http";
import type { PolicyRule } from "../../src/catalogue/catalogue.ts";
import { type Permission, permissionOf } from "../../src/clients/kubernetes/permission.ts";

/** Who may ask for what is itself no secret: every user has it. */
const granted = new Set(["selfsubjectaccessreviews"]);

/** What Hallux calls itself; what a test does meanwhile goes by another name. */
const userAgent = "hallux";

interface Entry {
  readonly id: string;
  readonly rbac: readonly PolicyRule[];
}

/** Watches what reaches the API server's socket while an entry of the catalogue runs, and holds it against the entry's `rbac`. */
export class PermissionLog {
  readonly #host: string;
  readonly #used = new Map<string, Set<string>>();

  constructor(server: string) {
    this.#host = new URL(server).host;
  }

  /** Throws where a request needed a permission that the entry does not declare. */
  async during<T>(entry: Entry, run: () => Promise<T>): Promise<T> {
    const seen: Permission[] = [];
    const stop = watchRequests(this.#host, (permission) => seen.push(permission));
    try {
      return await run();
    } finally {
      stop();
      this.#hold(entry, seen);
    }
  }

  /** What the entry declares and no run of it has needed so far: `get apps/replicasets`. */
  unused(entry: Entry): string[] {
    const used = this.#used.get(entry.id) ?? new Set();
    return declaredBy(entry).filter((permission) => !used.has(permission));
  }

  #hold(entry: Entry, seen: readonly Permission[]): void {
    const needed = seen.filter(({ resource }) => !granted.has(resource)).map(written);
    this.#used.set(entry.id, new Set([...(this.#used.get(entry.id) ?? []), ...needed]));

    const declared = new Set(declaredBy(entry));
    const missing = needed.filter((permission) => !declared.has(permission));
    if (missing.length > 0) {
      throw new Error(`${entry.id} does not declare in its rbac: ${missing.join(", ")}`);
    }
  }
}

function declaredBy({ rbac }: Entry): string[] {
  return rbac.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((apiGroup) =>
      resources.flatMap((resource) => verbs.map((verb) => written({ verb, apiGroup, resource }))),
    ),
  );
}

function written({ verb, apiGroup, resource }: Pick<Permission, "verb" | "apiGroup" | "resource">): string {
  return `${verb} ${apiGroup === "" ? "" : `${apiGroup}/`}${resource}`;
}

/** undici tells of every request, and `node:http` of those that become WebSockets. */
function watchRequests(host: string, onRequest: (permission: Permission) => void): () => void {
  const onUndici = (message: unknown) => {
    const { request } = message as { request: { origin: string; method: string; path: string; headers: string[] } };
    if (new URL(request.origin).host === host && request.headers.includes(userAgent)) {
      onRequest(permissionOf(request.method, request.path.replace(/\?.*/, "")));
    }
  };
  const onHttp = (message: unknown) => {
    const { request } = message as { request: ClientRequest };
    if (request.getHeader("host") === host && request.getHeader("user-agent") === userAgent) {
      const permission = permissionOf(request.method, request.path.replace(/\?.*/, ""));
      // The API server asks for both where a WebSocket is opened to run a command.
      onRequest(permission);
      onRequest({ ...permission, verb: "create" });
    }
  };
  subscribe("undici:request:create", onUndici);
  subscribe("http.client.request.start", onHttp);
  return () => {
    unsubscribe("undici:request:create", onUndici);
    unsubscribe("http.client.request.start", onHttp);
  };
}
