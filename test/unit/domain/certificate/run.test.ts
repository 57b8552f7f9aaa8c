import { planCertificate } from '../../../../src/domain/certificate/plan.ts';
import { certificateOutcomeOf, IllegalCertificateTransition, nextCertificateRunState, type CertificateRunEvent, type CertificateRunState } from '../../../../src/domain/certificate/state.ts';
import { isAfterCommit, isBeforeSwitch, isPastReturn, planSwitchUndo, switchSteps } from '../../../../src/domain/certificate/step.ts';
import { sampleCertificateEvents, sampleCertificateRequest, sampleCertificateStates, sampleLook, samplePair } from '../../../support/certificate-run-samples.ts';
import { sampleReason } from '../../../support/update-samples.ts';

const due = '2026-11-05T00:00:00.000Z';
const decide = (look = {}, request = {}) => {
  const decision = planCertificate(sampleLook(look), sampleCertificateRequest(request));
  return decision.kind === 'act' ? decision.plan.because : decision.kind === 'refuse' ? decision.reason.code : 'unchanged';
};

describe('whether a certificate is got', () => {
  const wish = sampleCertificateRequest().wish;
  test.each<[string, object, object, string]>([
    ['nothing is due', {}, {}, 'unchanged'],
    ['nothing is due, and it is asked for again', {}, { action: 'issue' }, 'unchanged'],
    ['a third of its life is left', { lookedAt: due }, {}, 'one_third_left'],
    ['it is over', { lookedAt: '2026-12-01T00:00:00.000Z' }, {}, 'expired'],
    ['there is none', { facts: null, plan: null }, { action: 'issue' }, 'first'],
    ['there is none to renew', { facts: null, plan: null }, {}, 'certificate_missing'],
    ['another name is wanted', {}, { action: 'issue', wish: { ...wish, names: ['app.example.org', 'www.example.org'] } }, 'names_changed'],
    ['a star stands for the name', { facts: { ...samplePair, names: ['*.example.org'] } }, {}, 'unchanged'],
    ['its key is another one', { facts: { ...samplePair, keyMatches: false } }, {}, 'key_mismatch'],
    ['it is wanted all the same', {}, { force: true }, 'forced'],
    ['the host is stranded', { stranded: sampleReason, lookedAt: due }, { force: true }, 'host_stranded'],
    ['nothing is installed', { activeReleaseId: null }, {}, 'nothing_installed'],
    ['nothing could serve it', { isDeclared: false }, {}, 'certificates_undeclared'],
  ])('%s', (_what, look, request, expected) => expect(decide(look, request)).toBe(expected));
});

describe('the way back of a switch', () => {
  const names = (count: number) => planSwitchUndo(switchSteps.slice(0, count)).map(({ name }) => name);
  test('for every step that may have been the last one: the old pair is restored and proven from the switch on, and before it nothing is touched', () => {
    for (let count = 0; count <= switchSteps.length; count += 1) {
      const touched = switchSteps.slice(0, count).some((step) => !isBeforeSwitch(step));
      expect(names(count)).toEqual([...(touched ? ['restore', 'reload', 'prove'] : []), ...(count > 0 ? ['close-intent'] : [])]);
    }
  });
  test('a new pair that does not pass its check is not kept for the next run, and one that could not be served is', () => {
    const upTo = (name: string) => switchSteps.slice(0, switchSteps.findIndex((step) => step.name === name) + 1);
    const undo = (name: string, isPairAtFault: boolean) => planSwitchUndo(upTo(name), isPairAtFault).map((step) => step.name);
    expect([undo('check', true), undo('check', false), undo('reload', true)]).toEqual([['forget-order', 'close-intent'], ['close-intent'], ['restore', 'reload', 'prove', 'close-intent']]);
  });
  test('the backup, and the script that needs nothing of Fairlead, come before the switch; nothing is removed before the commit', () => {
    const at = (name: string) => switchSteps.findIndex((step) => step.name === name);
    expect([at('back-up') < at('switch'), at('arm-recovery') < at('switch'), at('prove') < at('commit'), at('commit') < at('prune')]).toEqual([true, true, true, true]);
    expect(switchSteps.filter(isPastReturn).map(({ name }) => name)).toEqual(['commit', ...switchSteps.filter(isAfterCommit).map(({ name }) => name)]);
  });
});

describe('the states of a run about a certificate', () => {
  const legal = (state: CertificateRunState, event: CertificateRunEvent): CertificateRunState | null => {
    try {
      return nextCertificateRunState(state, event);
    } catch (error) {
      if (error instanceof IllegalCertificateTransition) return null;
      throw error;
    }
  };
  const states = Object.values(sampleCertificateStates) as CertificateRunState[];
  const events = Object.values(sampleCertificateEvents) as CertificateRunEvent[];

  test('a final state is one outcome, and nothing leads out of it', () => {
    for (const state of states.filter((each) => certificateOutcomeOf(each) !== null)) for (const event of events) expect(legal(state, event)).toBeNull();
    expect(states.map(certificateOutcomeOf).filter(Boolean).sort()).toEqual(['cancelled', 'refused', 'rolled_back', 'stranded', 'succeeded', 'unchanged']);
  });
  test('every state that is not final can end, and by a cancel as well', () => {
    for (const state of states.filter((each) => certificateOutcomeOf(each) === null && each.phase !== 'Undoing')) expect(legal(state, sampleCertificateEvents.CancelRequested)).not.toBeNull();
  });
  test('before the switch a failure touches nothing: refused; from it on: rolled back, or stranded where the way back fails too', () => {
    const fail = (state: CertificateRunState) => legal(state, sampleCertificateEvents.StepFailed) as CertificateRunState;
    for (const phase of ['Requested', 'Ordering', 'Delayed', 'Issued'] as const) expect(fail(sampleCertificateStates[phase]).phase).toBe('Refused');
    const back = (from: CertificateRunState, event: CertificateRunEvent) => (legal(fail(from), event) as CertificateRunState).phase;
    expect([back(sampleCertificateStates.Taken, sampleCertificateEvents.HostRestored), back(sampleCertificateStates.Switching, sampleCertificateEvents.HostRestored)]).toEqual(['Refused', 'RolledBack']);
    expect([back(sampleCertificateStates.Taken, sampleCertificateEvents.UndoStuck), back(sampleCertificateStates.Switching, sampleCertificateEvents.UndoStuck)]).toEqual(['Refused', 'Stranded']);
  });
  test('tries are counted through their delays', () => {
    const delayed = legal(sampleCertificateStates.Ordering, sampleCertificateEvents.TryFailed) as CertificateRunState;
    const again = legal(delayed, sampleCertificateEvents.DelayEnded) as CertificateRunState;
    expect([delayed, again]).toMatchObject([{ phase: 'Delayed', failures: 1 }, { phase: 'Ordering', failures: 1 }]);
  });
});
