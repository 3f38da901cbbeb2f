import { describe, expect, it } from "vitest";
import { integer, secret, text, textList } from "../schema/field.ts";
import { describeFields } from "./describe.ts";
import { defaultText, markdownTable, renderTable, sentenceOf } from "./render.ts";

describe("renderTable", () => {
  it("aligns columns, and goes on below where a line is full", () => {
    const rows = [
      ["ID", "SUMMARY"],
      ["local:file", "Write a file"],
      ["x", "A summary that goes on and on"],
    ];

    expect(renderTable(rows, 30).split("\n")).toEqual([
      "ID          SUMMARY",
      "local:file  Write a file",
      "x           A summary that",
      "            goes on and on",
      "",
    ]);
  });

  it("puts the last column below its row where there is no room beside it", () => {
    const rows = [
      ["ID", "TARGET", "SUMMARY"],
      ["kubernetes:label", "pod", "A summary that goes on and on"],
    ];

    expect(renderTable(rows, 24).split("\n")).toEqual([
      "ID                TARGET",
      "  SUMMARY",
      "kubernetes:label  pod",
      "  A summary that goes on",
      "  and on",
      "",
    ]);
  });

  it("is empty without rows", () => {
    expect(renderTable([], 120)).toBe("");
  });
});

describe("markdownTable", () => {
  it("keeps bars and line breaks inside their cell", () => {
    const table = markdownTable(["Name"], [["a | b\nc"]]);

    expect(table).toBe("| Name |\n| --- |\n| a \\| b c |\n");
  });
});

describe("a described field", () => {
  it.each([
    [text("A URL", { format: "uri", minLength: 1 }), "URL", undefined, "A URL (not empty)"],
    [secret("Key"), "text, secret", undefined, "Key"],
    [integer("Many", { minimum: 1, default: 3 }), "integer", "3", "Many (at least 1)"],
    [integer("Few", { maximum: 9, aliases: ["some"] }), "integer", undefined, "Few (at most 9; also some)"],
    [text("Empty", { default: "" }), "text", '""', "Empty"],
    [textList("Ranges", { items: { format: "cidr" }, default: [] }), "list of IP ranges", "[]", "Ranges"],
  ])("tells its type, default, bounds and older names (%#)", (field, type, fallback, sentence) => {
    const [described] = describeFields({ it: field });

    expect(described).toMatchObject({ name: "it", type });
    expect(described && { fallback: defaultText(described), sentence: sentenceOf(described) }).toEqual({
      fallback,
      sentence,
    });
  });
});
