import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...readdirSync(resolve(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

describe("the documentation", () => {
  it.each(pages)("links only to what is there: %s", (page) => {
    const links = [
      ...textOf(page)
        .replaceAll(/`[^`\n]*`/g, "")
        .matchAll(/\]\((?!https?:)([^)#]*)(#[^)]*)?\)/g),
    ];

    const broken = links.filter(([, path, anchor]) => !leadsSomewhere(targetOf(page, path), anchor));

    expect(broken.map(([link]) => link)).toEqual([]);
  });

  it.each([
    ["docs/differences-from-talon.md", 40],
    ["docs/reliability.md", 25],
  ])("names only tests that exist as proofs: %s", (page, atLeast) => {
    const proofs = [...textOf(page).matchAll(/\[`([^`]+)`\]\([^)]+\) "([^"]+)" \|$/gm)];

    const missing = proofs.filter(([, file = "", name = ""]) => !textOf(file).includes(`"${name}"`));

    expect(proofs.length).toBeGreaterThan(atLeast);
    expect(missing.map(([, file, name]) => `${file}: ${name}`)).toEqual([]);
  });
});

/** Without a path it is the page itself. */
function targetOf(page: string, path: string | undefined): string {
  return path ? resolve(root, dirname(page), path) : resolve(root, page);
}

function leadsSomewhere(path: string, anchor: string | undefined): boolean {
  const isPage = path.endsWith(".md");
  return (
    existsSync(path) && (anchor === undefined || !isPage || anchorsOf(readFileSync(path, "utf8")).includes(anchor))
  );
}

/** As GitHub makes them of headings. */
function anchorsOf(text: string): readonly string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => {
    const slug = heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "");
    return `#${slug.replaceAll(" ", "-")}`;
  });
}

function textOf(page: string): string {
  return readFileSync(resolve(root, page), "utf8");
}
