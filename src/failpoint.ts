declare global {
  /**
   * A step at which the crash suite may end the process (`test/crash`). Nothing sets it in production, and the build removes
   * the calls.
   */
  var halluxFailpoint: ((step: string) => void) | undefined;
}

export {};
