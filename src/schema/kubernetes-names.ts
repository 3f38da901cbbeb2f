const maxPrefixLength = 253;

/** Whether Kubernetes takes a text as the key of a label: `suspicious`, `example.com/owner`. */
export function isLabelKey(text: string): boolean {
  const [name = "", prefix, ...more] = text.split("/").reverse();
  return more.length === 0 && isName(name) && (prefix === undefined || isDnsName(prefix));
}

/** The same of an annotation, whose prefix may have capitals. */
export function isAnnotationKey(text: string): boolean {
  // toLowerCase() would make a k of the sign for Kelvin, too.
  return isLabelKey(text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()));
}

/** Whether Kubernetes takes a text as the value of a label. */
export function isLabelValue(text: string): boolean {
  return text === "" || isName(text);
}

function isName(text: string): boolean {
  return /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/.test(text);
}

function isDnsName(text: string): boolean {
  return (
    text.length <= maxPrefixLength && text.split(".").every((label) => /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(label))
  );
}
