import { certificateOutcomeOf, nextCertificateRunState, type CertificateRunEvent, type CertificateRunState } from '../src/domain/certificate/state.ts';
import { nextFleetState } from '../src/domain/fleet/host-state.ts';
import type { RolloutEvent } from '../src/domain/rollout/event.ts';
import { nextRolloutState, type RolloutState } from '../src/domain/rollout/state.ts';
import { nextServiceState, serviceOutcomeOf, type ServiceEvent, type ServiceState } from '../src/domain/service/state.ts';
import { nextUpdateState, outcomeOf, type UpdateEvent, type UpdateState } from '../src/domain/update/state.ts';
import { sampleCertificateEvents, sampleCertificateStates } from '../test/support/certificate-run-samples.ts';
import { fleetVariants, sampleFleetEvents } from '../test/support/fleet-samples.ts';
import { sampleEvents as rolloutEvents, sampleStates as rolloutStates } from '../test/support/rollout-samples.ts';
import { sampleServiceEvents, sampleServiceStates } from '../test/support/service-samples.ts';
import { sampleEvents, sampleStates } from '../test/support/update-samples.ts';

/** The text of docs/state-machines.md, made by walking every pair of state and event through the transition function. */
export function stateMachinesPage(): string {
  const lines = [
    '# State machines',
    '',
    'Made from the transition functions by `npm run docs`; a test fails when this page is stale.',
    '',
    '## update-apply',
    '',
    'Every pair that is not a row here is an `IllegalTransition`. A final state is one outcome.',
    '',
    '| state | event | next state |',
    '|---|---|---|',
  ];
  for (const state of Object.values(sampleStates) as UpdateState[]) {
    for (const event of Object.values(sampleEvents) as UpdateEvent[]) {
      for (const [note, from] of variantsOf(state)) {
        const next = legalNext(from, event);
        if (next === null) continue;
        const outcome = outcomeOf(next);
        lines.push(`| ${state.phase}${note} | ${event.type} | ${next.phase}${outcome ? ` (outcome \`${outcome}\`)` : ''} |`);
      }
    }
  }
  return `${[...new Set(lines.slice(10))].reduce((text, line) => `${text}${line}\n`, `${lines.slice(0, 10).join('\n')}\n`)}${servicePart()}${certificatePart()}${rolloutPart()}${fleetPart()}`;
}

/** Runs about services: restart, reload, an instance added or removed. */
function servicePart(): string {
  const rows = (Object.values(sampleServiceStates) as ServiceState[]).flatMap((state) =>
    (Object.values(sampleServiceEvents) as ServiceEvent[]).flatMap((event) =>
      serviceVariantsOf(state).flatMap(([note, from]) => {
        const next = orNull(() => nextServiceState(from, event));
        const outcome = next && serviceOutcomeOf(next);
        return next === null ? [] : [`| ${state.phase}${note} | ${event.type} | ${next.phase}${outcome ? ` (outcome \`${outcome}\`)` : ''} |`];
      }),
    ),
  );
  const head = ['', '## service runs', '', 'A restart gathers its requests and waits for its turn before it is `Requested`; the others begin there.', '', '| state | event | next state |', '|---|---|---|'];
  return [...head, ...new Set(rows), ''].join('\n');
}

/** Runs that get a certificate. */
function certificatePart(): string {
  const rows = (Object.values(sampleCertificateStates) as CertificateRunState[]).flatMap((state) =>
    (Object.values(sampleCertificateEvents) as CertificateRunEvent[]).flatMap((event) =>
      certificateVariantsOf(state).flatMap(([note, from]) => {
        const next = orNull(() => nextCertificateRunState(from, event));
        const outcome = next && certificateOutcomeOf(next);
        return next === null ? [] : [`| ${state.phase}${note} | ${event.type} | ${next.phase}${outcome ? ` (outcome \`${outcome}\`)` : ''} |`];
      }),
    ),
  );
  const text = 'Up to `Issued` the run has an id of its own and only talks to the issuer; from `Taken` on it holds the host.';
  return ['', '## cert-renewal', '', text, '', '| state | event | next state |', '|---|---|---|', ...new Set(rows), ''].join('\n');
}

function certificateVariantsOf(state: CertificateRunState): [string, CertificateRunState][] {
  if (state.phase !== 'Undoing') return [['', state]];
  return [
    [', something was touched', state],
    [', nothing was touched', { ...state, touched: false }],
    [', cancelled', { ...state, cancelled: true }],
  ];
}

/** A rollout. What its shards tell leads on only when nothing is in flight any more, so the sample wave has one shard. */
function rolloutPart(): string {
  const rows = (Object.values(rolloutStates) as RolloutState[]).flatMap((state) =>
    (Object.values(rolloutEvents) as RolloutEvent[]).flatMap((event) =>
      rolloutVariantsOf(state).flatMap(([note, from]) => {
        const next = orNull(() => nextRolloutState(from, event));
        return next === null ? [] : [`| ${state.phase}${note} | ${event.type} | ${next.phase}${next.phase === 'Ended' ? ` (outcome \`${next.outcome}\`)` : ''} |`];
      }),
    ),
  );
  const text = 'Pause, freeze and a closed window hold the state that they meet. The sample wave has one shard, in flight where nothing else is said; the sample failure is rolled back.';
  return ['', '## fleet-rollout', '', text, '', '| state | event | next state |', '|---|---|---|', ...new Set(rows), ''].join('\n');
}

function rolloutVariantsOf(state: RolloutState): [string, RolloutState][] {
  if (state.phase === 'Rolling') {
    return [
      ['', state],
      [', its last wave', { ...state, wave: 2 }],
      [', stopping', { ...state, stopping: rolloutStates.Halted.stop, counts: state.counts.map((counts) => ({ ...counts, updated: 1 })) }],
      [', nothing in flight', { ...state, shards: state.shards.map((shard) => ({ ...shard, standing: 'unstarted' })) }],
    ];
  }
  if (state.phase === 'RollingBack') {
    return [
      ['', state],
      [', the oldest wave', { ...state, remaining: [] }],
    ];
  }
  return [['', state]];
}

/** Hosts of the fleet, as control knows them. */
function fleetPart(): string {
  const rows = fleetVariants.flatMap(([name, state]) =>
    Object.values(sampleFleetEvents).flatMap((event) => {
      const next = orNull(() => nextFleetState(state, event));
      return next === null ? [] : [`| ${name} | ${event.type} | ${next.phase} |`];
    }),
  );
  const what = 'Attempts of contact (to be heard) and of runs are counted each by itself; five failures of one kind in a row are `error`, one success of it is the way back. Nothing is counted during maintenance.';
  return ['', '## hosts of the fleet', '', what, '', '| state | event | next state |', '|---|---|---|', ...rows, ''].join('\n');
}

function serviceVariantsOf(state: ServiceState): [string, ServiceState][] {
  if (state.phase !== 'Undoing') return [['', state]];
  return [
    [', something was touched', state],
    [', nothing was touched', { ...state, touched: false }],
    [', cancelled', { ...state, cancelled: true }],
  ];
}

/** The way back ends differently by what had been touched and who asked for it: each is a row of its own. */
function variantsOf(state: UpdateState): [string, UpdateState][] {
  if (state.phase !== 'Undoing') return [['', state]];
  return [
    [', something was touched', state],
    [', nothing was touched', { ...state, touched: false }],
    [', cancelled', { ...state, cancelled: true }],
  ];
}

function legalNext(state: UpdateState, event: UpdateEvent): UpdateState | null {
  return orNull(() => nextUpdateState(state, event));
}

function orNull<Next>(next: () => Next): Next | null {
  try {
    return next();
  } catch {
    return null;
  }
}
