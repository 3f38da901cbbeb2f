const maxShown = 200;

/** What the other side says, where it repeats secrets; the longest first, for one may begin like another. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  return secrets
    .filter((secret) => secret !== "")
    .toSorted((one, other) => other.length - one.length)
    .reduce((masked, secret) => masked.replaceAll(secret, "[secret]"), text);
}

/** What the other side says, for an error: its start, on one line and without the secrets. */
export function startOfWords(text: string, secrets: readonly string[] = []): string {
  return withoutSecrets(text, secrets)
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, " ")
    .trim()
    .slice(0, maxShown);
}
