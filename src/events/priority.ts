/** Falco's priorities, most severe first. */
export const priorities = [
  "Emergency",
  "Alert",
  "Critical",
  "Error",
  "Warning",
  "Notice",
  "Informational",
  "Debug",
] as const;

export type Priority = (typeof priorities)[number];

/** The priority that a text names, in any case; `Info` is `Informational`. */
export function priorityNamed(text: string): Priority | undefined {
  const name = text.trim().toLowerCase();
  return name === "info" ? "Informational" : priorities.find((priority) => priority.toLowerCase() === name);
}

/** 0 for Debug up to 7 for Emergency: a greater number is more severe. */
export function severityOf(priority: Priority): number {
  return priorities.length - 1 - priorities.indexOf(priority);
}
