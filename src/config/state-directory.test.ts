import { describe, expect, it } from "vitest";
import { stateDirectory } from "./state-directory.ts";

describe("stateDirectory", () => {
  it.each([
    ["systemd's", { STATE_DIRECTORY: "/var/lib/hallux", XDG_STATE_HOME: "/xdg" }, "/var/lib/hallux"],
    ["the first of systemd's", { STATE_DIRECTORY: "/var/lib/hallux:/var/lib/more" }, "/var/lib/hallux"],
    ["a folder in XDG_STATE_HOME", { STATE_DIRECTORY: "", XDG_STATE_HOME: "/xdg" }, "/xdg/hallux"],
    [
      "the XDG default, where XDG_STATE_HOME is not absolute",
      { XDG_STATE_HOME: "xdg" },
      "/home/sam/.local/state/hallux",
    ],
    ["the XDG default", {}, "/home/sam/.local/state/hallux"],
  ])("is %s", (_, env, expected) => {
    const directory = stateDirectory(env, "/home/sam");

    expect(directory).toBe(expected);
  });
});
