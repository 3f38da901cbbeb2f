/** A command cannot do what it was asked for. The message is for whoever typed it: what is wrong, and what to do. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
}
