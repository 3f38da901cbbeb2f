import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import type { Rendered } from "./helm.ts";

/** What a kubelet would read of the namespace of a release. */
export interface Namespace {
  /** An object by kind and name: `secret/hallux-config`. */
  object(name: string): Rendered;
  kubectl(args: readonly string[]): string;
}

/** Writes the volumes of Secrets and ConfigMaps as the kubelet would mount them, into a directory in place of /etc/hallux. */
export function mount(deployment: Rendered, namespace: Namespace, directory: string): void {
  const { containers, volumes } = deployment["spec"].template.spec;
  for (const { name, mountPath } of containers[0].volumeMounts) {
    const volume = volumes.find((one: { name: string }) => one.name === name);
    for (const [path, content] of contentOf(volume, namespace)) {
      const file = join(mountPath, path).replace("/etc/hallux", directory);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content.toString().replaceAll("/etc/hallux", directory));
    }
  }
}

/** Writes a kubeconfig with a token of the account, and nothing else. */
export function writeTokenOf(account: string, namespace: Namespace, path: string): void {
  const token = namespace.kubectl(["create", "token", account]).trim();
  const config = JSON.parse(namespace.kubectl(["config", "view", "--raw", "--flatten", "-o", "json"]));
  const users = config.users.map(({ name }: { name: string }) => ({ name, user: { token } }));
  writeFileSync(path, stringify({ ...config, users }));
}

function contentOf(volume: Rendered, namespace: Namespace): readonly (readonly [string, Buffer])[] {
  const sources = volume["projected"]?.sources ?? [volume];
  return sources.flatMap(({ secret, configMap }: Rendered) => {
    if (secret !== undefined) {
      const { data } = namespace.object(`secret/${secret.secretName ?? secret.name}`);
      return placed(secret.items, new Map(decoded(data, "base64")));
    }
    return configMap === undefined
      ? []
      : placed(configMap.items, new Map(decoded(namespace.object(`configmap/${configMap.name}`)["data"], "utf8")));
  });
}

function decoded(data: Readonly<Record<string, string>>, encoding: BufferEncoding) {
  return Object.entries(data).map(([key, value]) => [key, Buffer.from(value, encoding)] as const);
}

function placed(
  items: readonly { readonly key: string; readonly path: string }[] | undefined,
  data: ReadonlyMap<string, Buffer>,
): readonly (readonly [string, Buffer])[] {
  return items === undefined
    ? [...data]
    : items.map(({ key, path }) => [path, data.get(key) ?? Buffer.from(`there is no ${key}`)]);
}
