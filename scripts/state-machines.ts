import { nextServiceState, serviceOutcomeOf, type ServiceEvent, type ServiceState } from '../src/domain/service/state.ts';
import { nextUpdateState, outcomeOf, type UpdateEvent, type UpdateState } from '../src/domain/update/state.ts';
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
  return `${[...new Set(lines.slice(10))].reduce((text, line) => `${text}${line}\n`, `${lines.slice(0, 10).join('\n')}\n`)}${servicePart()}`;
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
