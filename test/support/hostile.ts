import { tmpdir } from "node:os";

/** A file that shell code in an event would make, if a shell ever read it as code. */
const proof = `${tmpdir()}/hallux-was-here`;

/** What an attacker may put into the fields of an event; short enough to try many. */
export const hostileTexts: readonly string[] = [
  "\u001b]0;owned\u0007\u001b[2J",
  'x\n[2026-01-01T00:00:00.000Z] INFO: forged\r\n{"level":"info"}',
  "\u202egnp.exe\u2066\u2028\u2029\ufeff",
  "a\u0000b",
  "\ud800",
  "../../../../etc/passwd",
  "/proc/self/environ",
  "..",
  "%2e%2e%2fsecrets%2fx",
  "cart-1/../../../kube-system/pods/etcd",
  `$(touch ${proof})\`touch ${proof}\`; touch ${proof}`,
  '"; rm -rf /; "',
  "{{constructor}} {% raw %} %s %o %j",
  "x?dryRun=All&force=true#frag",
  "<script>alert(1)</script><!channel>",
  "__proto__",
  "x\r\nEvil: yes",
  "' OR '1'='1",
  "*",
  "-n",
  "<NA>",
  "",
  "A".repeat(10_000),
];
