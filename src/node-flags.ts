// How Node runs the daemon. Imports nothing.

/**
 * Parameters of the Node that runs the daemon. By itself V8 lets the space for new objects grow until it takes some 100 MB, which
 * are touched little by little for hours: it looks like a leak, and buys nothing here. Megabytes of one half of that space.
 */
export const DAEMON_NODE_FLAGS: readonly string[] = ['--max-semi-space-size=8'];
