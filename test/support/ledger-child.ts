import { createSqliteLedger } from "../../src/ledger/sqlite/ledger.ts";
import { eventOf } from "./events.ts";
import { roomyLedger } from "./ledger.ts";

/**
 * A process with the ledger of a directory, for those who end it: `node test/support/ledger-child.ts <directory>`. Accepts events
 * without end and writes the id of each that is accepted on a line; `open` is the first line.
 */
const [, , directory = ""] = process.argv;

try {
  const ledger = await createSqliteLedger({
    ...roomyLedger(directory),
    remark: (message) => console.error(message),
  });
  console.log("open");
  await Promise.all(
    Array.from({ length: 8 }, async (_, n) => {
      for (;;) {
        const event = eventOf({ pod: `shop/p-${n}` });
        await ledger.accept(event);
        console.log(event.id);
      }
    }),
  );
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
