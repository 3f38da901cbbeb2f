/** A straight line through measured points, by least squares. */
export interface Trend {
  readonly mean: number;
  /** Of the line, from the first point to the last. */
  readonly rise: number;
  /** Of the rise. */
  readonly standardError: number;
}

export function trendOf(points: readonly { readonly x: number; readonly y: number }[]): Trend {
  const { length } = points;
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / length;
  const mean = points.reduce((sum, { y }) => sum + y, 0) / length;
  const spread = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
  const slope = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - mean), 0) / spread;
  const residue = points.reduce((sum, { x, y }) => sum + (y - mean - slope * (x - meanX)) ** 2, 0);
  const width = Math.max(...points.map(({ x }) => x)) - Math.min(...points.map(({ x }) => x));
  return { mean, rise: slope * width, standardError: Math.sqrt(residue / (length - 2) / spread) * width };
}
