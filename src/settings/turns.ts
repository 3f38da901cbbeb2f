/**
 * One call after the other. Those that come while one is under way are answered together, by the one that begins after it: it is told
 * what all of them said.
 */
export function createTurns<T, R>(run: (said: ReadonlySet<T>) => Promise<R>): (said: T) => Promise<R> {
  let underWay: Promise<unknown> = Promise.resolve();
  let next: { readonly said: Set<T>; readonly result: Promise<R> } | undefined;

  const schedule = () => {
    const said = new Set<T>();
    const result = underWay.then(() => {
      next = undefined;
      return run(said);
    });
    underWay = result.catch(() => undefined);
    return { said, result };
  };

  return (said) => {
    next ??= schedule();
    next.said.add(said);
    return next.result;
  };
}
