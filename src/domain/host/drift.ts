import { releaseIdPattern, type InstanceName, type ReleaseId, type RunId } from '../ids.ts';
import type { HostState, Intent } from './state.ts';

/** How what a host has differs from what it is meant to have. Stable, for programs. */
export type FindingKind =
  | 'current_moved'
  | 'current_incomplete'
  | 'instance_on_other_release'
  | 'instance_dead'
  | 'instance_unasked'
  | 'config_mode'
  | 'router_dead'
  | 'router_differs'
  | 'leftover_intent'
  | 'memory_unreadable';

/** Who puts it right: the agent `self` (nothing that serves is touched), a `run` with the host's lock, or a `person`. */
export type Healer = 'self' | 'run' | 'person';

/** One difference. The same kind and subject are the same finding for as long as they are seen. */
export interface Finding {
  readonly kind: FindingKind;
  /** `current`, an instance, a file, `router`, or the run that left its intent behind. */
  readonly subject: string;
  readonly expected: string;
  readonly seen: string;
  /** When it was first seen without a break, by the host's clock; ISO 8601. */
  readonly since: string;
  readonly heal: Healer;
  readonly message: string;
  readonly hint: string;
}

/** What the host remembers that it should be. */
export interface Meant {
  readonly state: HostState | null;
  readonly intent: Intent | null;
  /** Whether the intent's run is at work, or may be (`isUnderWay`): what it changes is then no drift. */
  readonly runUnderWay: boolean;
}

/** What the service manager says of an instance, in its own words. */
export interface InstanceSight {
  readonly status: 'active' | 'inactive' | 'failed' | 'starting' | 'draining' | 'unknown';
  readonly releaseId: ReleaseId | null;
  readonly lastExit: string | null;
}

/** What was seen when somebody looked. */
export interface Seen {
  /** `target`: what the link says, as it stands there; null where there is no link. `releaseId`: the release that it leads to; null where it leads to none. */
  readonly current: { readonly target: string | null; readonly releaseId: ReleaseId | null; readonly complete: boolean };
  readonly instances: Readonly<Record<InstanceName, InstanceSight>>;
  /** Permission bits of the files that hold configuration. A file that is not there is left out. */
  readonly modes: readonly { readonly path: string; readonly mode: number }[];
  /** `none`: the release has no router. `unknown`: it could not be asked, and nothing is said of it. */
  readonly router: { readonly status: 'serves' | 'differs' | 'dead' | 'none' | 'unknown'; readonly detail: string };
  /** Why the host's memory could not be read; null where it could. */
  readonly memory: string | null;
}

/** Longer than a run waits for anything (its own limit is 30 minutes), so that only a dead one is silent for so long. In milliseconds. */
export const silentRunMs = 45 * 60_000;

/**
 * Whether the intent's run is at work on the host, or may come back to it. The fence says that no later run has come; control may have said
 * that it has ended; and no run is silent for longer than `silentRunMs`. When in doubt it is under way: then nothing is touched.
 *
 * @param silentMs since the last command of any run for this product, or since the agent's start
 */
export function isUnderWay(intent: Intent | null, fence: { readonly fence: number; readonly runId: RunId } | null, endedRuns: ReadonlySet<RunId>, silentMs: number): boolean {
  if (intent === null || intent.stranded !== null) return false;
  if (fence !== null && fence.fence > intent.fence && fence.runId !== intent.runId) return false;
  return !endedRuns.has(intent.runId) && silentMs < silentRunMs;
}

/**
 * Compares what is meant with what is seen. Pure. Sorted by kind and subject.
 *
 * `before` gives each finding the instant at which it was first seen. On a stranded host nothing is left to a run: a person decides there.
 */
export function findDrift(meant: Meant, seen: Seen, before: readonly Finding[], now: string): Finding[] {
  const found = seen.memory === null ? [...configFindings(seen), ...intentFindings(meant)] : [unreadable(seen.memory), ...configFindings(seen)];
  if (seen.memory === null && meant.state !== null && !meant.runUnderWay) {
    found.push(...currentFindings(meant.state, seen), ...instanceFindings(meant.state, seen), ...routerFindings(seen));
  }
  const stranded = meant.intent?.stranded != null;
  return found
    .map((finding): Finding => {
      const known = before.find((other) => other.kind === finding.kind && other.subject === finding.subject);
      return { ...finding, heal: stranded && finding.heal === 'run' ? 'person' : finding.heal, since: known?.since ?? now };
    })
    .sort((a, b) => (a.kind === b.kind ? (a.subject < b.subject ? -1 : 1) : a.kind < b.kind ? -1 : 1));
}

type New = Omit<Finding, 'since'>;

function currentFindings(state: HostState, { current }: Seen): New[] {
  const expected = state.activeReleaseId;
  const at = { subject: 'current', expected: expected ?? 'nothing', seen: current.target ?? 'nothing' };
  if (current.releaseId !== expected) {
    // A link that leads elsewhere, or no link at all, is put back by activating; something that Fairlead did not put there is not taken away by itself.
    const foreign = current.target !== null && !(current.target.startsWith('releases/') && releaseIdPattern.test(current.target.slice('releases/'.length)));
    return [
      {
        kind: 'current_moved',
        ...at,
        heal: foreign || expected === null ? 'person' : 'run',
        message: `current leads to ${at.seen}, and ${expected ?? 'no release'} is the active release.`,
        hint: foreign ? 'Something other than Fairlead put it there: find out what, and move it away. Then apply the active release again.' : `Nobody but a run should change it. By hand: fairlead update apply --release ${expected ?? 'RELEASE'}`,
      },
    ];
  }
  if (expected === null || current.complete) return [];
  return [
    {
      kind: 'current_incomplete',
      ...at,
      seen: `${expected}, without its COMPLETE mark`,
      // Unpacking it again would take the files from under the instances that run from them.
      heal: 'person',
      message: `current leads to ${expected}, whose COMPLETE mark is gone: nothing vouches for its files.`,
      hint: 'Somebody changed files below releases/. Apply another release, then this one again.',
    },
  ];
}

function instanceFindings(state: HostState, { instances }: Seen): New[] {
  return (Object.entries(state.instances) as [InstanceName, HostState['instances'][InstanceName]][]).flatMap(([subject, entry]): New[] => {
    const sight = instances[subject];
    const expected = state.activeReleaseId ?? entry.releaseId;
    if (sight === undefined || sight.status === 'unknown') {
      return [
        {
          kind: 'instance_unasked',
          subject,
          expected,
          seen: 'unknown',
          heal: 'person',
          message: `The service manager could not say how ${subject} is. It may run well.`,
          hint: 'See that the service manager runs and that the agent may ask it.',
        },
      ];
    }
    if (sight.status === 'inactive' || sight.status === 'failed') {
      const how = sight.lastExit === null ? sight.status : `${sight.status}, ${sight.lastExit}`;
      return [{ kind: 'instance_dead', subject, expected, seen: how, heal: 'run', message: `${subject} should run ${expected} and does not run (${how}).`, hint: 'Its last log lines say why it ended. A run of the active release starts it again.' }];
    }
    if (sight.status !== 'active' || sight.releaseId === null || (sight.releaseId === expected && entry.releaseId === expected)) return [];
    return [
      {
        kind: 'instance_on_other_release',
        subject,
        expected,
        seen: sight.releaseId,
        heal: 'run',
        message: sight.releaseId === expected ? `${subject} runs ${expected}, and was last told to run ${entry.releaseId}.` : `${subject} runs ${sight.releaseId}, and ${expected} is the active release.`,
        hint: 'Somebody started it by hand, or its manager started an old unit. A run of the active release puts it right.',
      },
    ];
  });
}

function routerFindings({ router }: Seen): New[] {
  const at = { subject: 'router', expected: 'serves what the state says', seen: router.detail, heal: 'run' } as const;
  if (router.status === 'dead') return [{ kind: 'router_dead', ...at, message: `The router does not answer (${router.detail}): clients reach nothing.`, hint: "Its log is below the state root's fairlead/router. A run of the active release starts it again." }];
  if (router.status === 'differs') return [{ kind: 'router_differs', ...at, message: `The router serves something else than the state says: ${router.detail}.`, hint: 'Somebody changed its configuration. A run of the active release puts it right.' }];
  return [];
}

function configFindings({ modes }: Seen): New[] {
  // Stricter than 0600 is nobody's harm.
  return modes
    .filter(({ mode }) => (mode & 0o7777 & ~0o600) !== 0)
    .map(({ path, mode }) => ({
      kind: 'config_mode',
      subject: path,
      expected: '0600',
      seen: `0${(mode & 0o7777).toString(8)}`,
      heal: 'self',
      message: `${path} may hold secrets and has mode 0${(mode & 0o7777).toString(8)}: others can read or change it.`,
      hint: `chmod 0600 ${path}, and change the secrets in it if somebody who should not know them could read it.`,
    }));
}

function intentFindings({ state, intent, runUnderWay }: Meant): New[] {
  if (intent === null || intent.stranded !== null || runUnderWay) return [];
  const settled = state?.activeReleaseId != null && state.activeReleaseId === state.lastGoodReleaseId;
  return [
    {
      kind: 'leftover_intent',
      subject: intent.runId,
      expected: 'no intent without its run',
      seen: `${intent.fromReleaseId ?? 'nothing'} -> ${intent.toReleaseId}, since ${intent.openedAt}`,
      // Where the run died between two releases, which of them is wanted is a person's decision.
      heal: settled ? 'run' : 'person',
      message: `Run ${intent.runId} left its intent behind (to ${intent.toReleaseId}), and is no longer at work.`,
      hint: settled ? 'The next run of the host replaces it.' : `Apply the release that is wanted, or go back: fairlead recover --product ${intent.product} --force`,
    },
  ];
}

const unreadable = (why: string): New => ({
  kind: 'memory_unreadable',
  subject: 'state.json',
  expected: 'readable',
  seen: why,
  heal: 'person',
  message: `What the host remembers of the product cannot be read: ${why}`,
  hint: 'If it was edited by hand, put it right, or restore it from the newest folder in fairlead/backups. Nothing is touched until then.',
});

/**
 * The state with what was found seen in it: an instance that is dead, or that no router reaches, gets no requests; one on another release is on that
 * one. A plan made from it mends what is broken, where one made from `state.json` alone would find nothing to do.
 */
export function stateAsSeen(state: HostState, findings: readonly Finding[]): HostState {
  const routed = !findings.some(({ kind }) => kind === 'router_dead' || kind === 'router_differs');
  const entries = (Object.entries(state.instances) as [InstanceName, HostState['instances'][InstanceName]][]).map(([name, entry]) => {
    const own = findings.filter(({ subject }) => subject === name);
    const dead = own.some(({ kind }) => kind === 'instance_dead');
    const other = own.find(({ kind, expected, seen }) => kind === 'instance_on_other_release' && seen !== expected);
    return [name, { ...entry, admitted: entry.admitted && routed && !dead, releaseId: (other?.seen as ReleaseId | undefined) ?? entry.releaseId }];
  });
  return { ...state, instances: Object.fromEntries(entries) };
}
