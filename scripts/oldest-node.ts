/** The major version of Node that the bundle needs. A clone brings its own Node; who installs the package brings one. */
export const oldestNode = 24;
