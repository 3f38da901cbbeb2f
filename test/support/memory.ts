import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** After everything that nobody holds any more has been freed: buffers are freed beside the first collection, and before the second. */
export function memoryHeld(): NodeJS.MemoryUsage {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  collect();
  collect();
  return process.memoryUsage();
}
