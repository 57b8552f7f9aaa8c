/** Runs what concerns one name one after the other; different names run side by side. */
export function createTurns() {
  const last = new Map<string, Promise<unknown>>();
  return <Result>(name: string, work: () => Promise<Result>): Promise<Result> => {
    const turn = (last.get(name) ?? Promise.resolve()).then(work, work);
    last.set(name, turn);
    const forget = () => void (last.get(name) === turn && last.delete(name));
    turn.then(forget, forget);
    return turn;
  };
}
