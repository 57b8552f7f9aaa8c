/** What becomes of a host when it is changed. `lost`: its run succeeds and nobody sees it come back. `refused`: by request. */
export type Fate = 'good' | 'rolled_back' | 'stranded' | 'lost' | 'refused';

export interface ModelHost {
  readonly name: string;
  readonly controller: boolean;
  readonly status: 'connected' | 'away' | 'maintenance';
  readonly release: 'old' | 'new' | 'none';
  readonly condemned: boolean;
  readonly stranded: boolean;
  readonly fate: Fate;
  /** Whether it comes while it is waited for. */
  readonly comes: boolean;
}

export interface ModelStrategy {
  readonly tiers: readonly number[] | null;
  readonly count: number;
  readonly parallel: number;
  readonly mostFailed: number | null;
  readonly mostPercent: number | null;
  readonly policy: 'keep' | 'roll-back-wave' | 'roll-back-all';
  readonly offline: 'skip' | 'fail' | 'wait-skip' | 'wait-fail';
}

/**
 * What a rollout has to do, as plainly as it can be said: hosts that end their runs in the order in which they began them. It shares no code
 * with the planner and the machines that it is compared with.
 */
export function modelOfRollout(fleet: readonly ModelHost[], strategy: ModelStrategy): { refused: boolean; updated: string[]; rolledBack: string[]; waves: string[][]; halted: boolean } {
  const { parallel, policy, offline } = strategy;
  const left = (host: ModelHost) => host.stranded || host.status === 'maintenance' || (host.condemned && host.release !== 'new') || (host.status === 'connected' && host.release === 'new') || (host.status === 'away' && offline === 'skip');
  const all = fleet.filter((host) => !left(host)).sort((a, b) => (a.name < b.name ? -1 : 1));
  const nodes = all.filter((host) => !host.controller);
  const controllers = all.filter((host) => host.controller);
  const isReady = (host: ModelHost) => host.release === 'new' && host.status !== 'away';
  const isComing = (host: ModelHost) => controllers.includes(host) && !(host.status === 'away' && offline === 'fail');
  const result = { refused: false, updated: [] as string[], rolledBack: [] as string[], waves: [] as string[][], halted: false };
  if (nodes.length > 0 && fleet.some((host) => host.controller && !isReady(host) && !isComing(host))) return { ...result, refused: true };

  const waves: ModelHost[][] = controllers.length > 0 ? [controllers] : [];
  const rest = [...nodes];
  if (strategy.tiers === null) while (rest.length > 0) waves.push(rest.splice(0, strategy.count));
  for (const percent of strategy.tiers ?? []) {
    const wave: ModelHost[] = [];
    while (rest.length > 0 && (nodes.length - rest.length) * 100 < percent * nodes.length) wave.push(rest.shift() as ModelHost);
    if (wave.length > 0) waves.push(wave);
  }
  result.waves = waves.map((wave) => wave.map(({ name }) => name));

  let failed = 0;
  const isOver = () => (strategy.mostFailed !== null && failed > strategy.mostFailed) || (strategy.mostPercent !== null && failed * 100 > strategy.mostPercent * all.length);
  for (const wave of waves) {
    const here: string[] = [];
    let controllerBad = false;
    const end = (host: ModelHost, ends: 'good' | 'failed' | 'left') => {
      if (ends === 'good' && host.release !== 'new') here.push(host.name);
      if (ends === 'failed') failed += 1;
      if (ends !== 'good' && host.controller) controllerBad = true;
    };
    if (offline === 'fail') for (const host of wave) if (host.status === 'away') end(host, 'failed');
    const queue = wave.filter((host) => host.status === 'connected' || (offline !== 'fail' && host.comes));
    const flight: ModelHost[] = [];
    let halted = isOver() || (controllerBad && failed > 0);
    while (flight.length > 0 || (queue.length > 0 && !halted)) {
      while (!halted && queue.length > 0 && flight.length < (wave === controllers ? 1 : parallel)) flight.push(queue.shift() as ModelHost);
      const host = flight.shift() as ModelHost;
      // A host that said it was there already is told so by its run, which succeeds whatever its fate would have been.
      end(host, host.release === 'new' || host.fate === 'good' ? 'good' : host.fate === 'refused' ? 'left' : 'failed');
      halted = isOver() || (wave === controllers && failed > 0);
    }
    if (!halted && offline !== 'fail') {
      for (const host of wave) if (host.status === 'away' && !host.comes) end(host, offline === 'wait-fail' ? 'failed' : 'left');
      halted = isOver();
    }
    result.updated.push(...here);
    if (halted || controllerBad) {
      result.halted = true;
      if (policy === 'roll-back-all') result.rolledBack = [...result.updated];
      if (policy === 'roll-back-wave') result.rolledBack = here;
      return result;
    }
  }
  return result;
}
