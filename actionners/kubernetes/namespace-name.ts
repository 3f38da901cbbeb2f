/** What may be the name of a namespace. */
export const namespaceName = { pattern: "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" } as const;
