import { type FSWatcher, watch as fsWatch } from "node:fs";
import { basename } from "node:path";
import type { Logger } from "pino";
import { isSame } from "../schema/same.ts";
import { entriesOf } from "./entries.ts";

export interface WatchOptions {
  /** Something may be different: called when files have come to rest, and every so often; one call at a time. */
  readonly changed: () => Promise<unknown>;
  readonly logger: Logger;
  /** Without news for so long, files are at rest. */
  readonly restMs?: number;
  /** Files that never come to rest are looked at all the same. */
  readonly mostMs?: number;
  /** For changes that nobody tells of: NFS, some bind mounts, a kernel that has no watches left. */
  readonly againMs?: number;
  /** In place of `fs.watch`; throws where it cannot. */
  readonly openWatch?: OpenWatch;
}

export type OpenWatch = (
  directory: string,
  options: { readonly persistent: false },
  news: (event: string, name: string | null) => void,
) => Pick<FSWatcher, "close" | "on">;

export interface Watch {
  /** From now on these files; none of them ends the watching. */
  follow(files: Iterable<string>): void;
  close(): void;
}

/**
 * Watches directories, never files: Kubernetes swaps a link beside them, and editors put another file in their place. Each time that
 * something happened all of it is watched anew before it is looked at, so that nothing can happen unseen.
 */
export function createWatch(options: WatchOptions): Watch {
  const { changed, logger, restMs = 100, mostMs = 1_000, againMs = 30_000 } = options;
  const eyes = createEyes({ news, logger, againMs, openWatch: options.openWatch ?? fsWatch });
  let files: readonly string[] = [];
  let timer: NodeJS.Timeout | undefined;
  let looking = false;
  let newsSince: number | undefined;

  function news(): void {
    newsSince ??= performance.now();
    lookIn(Math.max(0, Math.min(restMs, newsSince + mostMs - performance.now())));
  }

  function lookIn(ms: number): void {
    clearTimeout(timer);
    timer = looking || files.length === 0 ? undefined : setTimeout(() => void look(), ms);
  }

  async function look(): Promise<void> {
    looking = true;
    newsSince = undefined;
    await eyes.open(files);
    await changed().catch((err: unknown) => logger.error({ err }, "configuration files could not be looked at"));
    looking = false;
    if (files.length === 0) {
      eyes.close();
    }
    lookIn(newsSince === undefined ? againMs : restMs);
  }

  function follow(next: Iterable<string>): void {
    const wanted = [...new Set(next)].sort();
    if (isSame(wanted, files)) {
      return;
    }
    files = wanted;
    if (files.length === 0) {
      eyes.close();
    }
    news();
  }

  return { follow, close: () => follow([]) };
}

interface Eyes {
  /** Never rejects. */
  open(files: readonly string[]): Promise<void>;
  close(): void;
}

interface EyesOptions {
  readonly news: () => void;
  readonly logger: Logger;
  readonly againMs: number;
  readonly openWatch: OpenWatch;
}

function createEyes({ news, logger, againMs, openWatch }: EyesOptions): Eyes {
  let open: readonly Pick<FSWatcher, "close">[] = [];
  let told = false;

  /** The next look at the files is by the timer. */
  const blind = (error: NodeJS.ErrnoException) => {
    // Gone since it was looked for.
    if (!told && error.code !== "ENOENT") {
      told = true;
      const seconds = againMs / 1000;
      logger.warn(
        { reason: error.message, seconds },
        "changes of configuration files are not told of: they are read every so often",
      );
    }
  };
  const openOne = ([directory, names]: [string, ReadonlySet<string>]) => {
    try {
      const own = basename(directory);
      const watcher = openWatch(directory, { persistent: false }, (_event, name) => {
        // Under its own name a directory tells of itself, that it is gone.
        if (name === null || name === own || names.has(name)) {
          news();
        }
      });
      watcher.on("error", blind);
      return [watcher];
    } catch (error) {
      blind(error as NodeJS.ErrnoException);
      return [];
    }
  };
  const close = () => {
    open.forEach((watcher) => void watcher.close());
    open = [];
  };

  return {
    close,
    async open(files) {
      const entries = await entriesOf(files);
      close();
      open = [...entries].flatMap(openOne);
    },
  };
}
