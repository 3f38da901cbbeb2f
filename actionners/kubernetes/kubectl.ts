/** A kubectl line that a person can paste into a shell: every argument is quoted where it needs to be. */
export function kubectl(...args: readonly string[]): string {
  return ["kubectl", ...args].map(quoted).join(" ");
}

function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}
