import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Guarantee {
  readonly number: number;
  readonly sentence: string;
  /** What keeps it true, and where that stands. Markdown; links are relative to docs/. */
  readonly kept: string;
}

/** A test that says, in a comment right above it, which guarantees it shows: `Guarantees 1, 2 and 9.` */
interface Citation {
  readonly numbers: readonly number[];
  readonly file: string;
  readonly title: string;
}

const at = (path: string): string => `[${path}](../${path})`;

/** What must always be true. The numbers are stable: tests, decisions and people cite them. */
const guarantees: readonly Guarantee[] = [
  {
    number: 1,
    sentence: 'At every instant `current` leads to a release that is complete, and whose files match their digests.',
    kept: `A bundle is unpacked beside the releases; every path, type, mode, size and digest is held against the signed file list, then all of it is made durable, marked COMPLETE and renamed into place (${at('src/adapters/release-store/filesystem')}). \`current\` is one symbolic link, replaced by rename(2), and only by a link to a release that has its mark.`,
  },
  {
    number: 2,
    sentence: 'A run ends in exactly one outcome, and the host is in the state that the outcome names.',
    kept: `One type for the state of a run and one function that leads from state to state (${at('src/domain/update/state.ts')}); a final state is one outcome ([state machines](state-machines.md)). Each step is declared together with its undo.`,
  },
  {
    number: 3,
    sentence: 'In one run an instance is restarted at most once in each direction, and never while its twin is down.',
    kept: `A restart notes in the host's state whom it replaces before it stops anything, so that a repeated attempt goes on instead of beginning anew (${at('activities/host/instances.ts')}); an instance that serves is only taken away while another one of its service serves (${at('activities/host/service-traffic.ts')}).`,
  },
  {
    number: 4,
    sentence: 'Nothing on a host is changed without an audit row for what is meant before it, and one for what came of it after it.',
    kept: `Runs write their plan before the first step, their way back before the first step of that, and their outcome at the end (${at('activities/control/runs.ts')}); the API writes every mutation down twice, and refuses it where the audit cannot be written (${at('src/api/auditing.ts')}). Rows are chained by digest and only ever appended.`,
  },
  {
    number: 5,
    sentence: 'No secret stands outside of the files that are meant for it.',
    kept: `Settings are sealed where they are kept, and a host is sent only its own; failures, evidence and logs pass a filter that knows the secrets of the host (${at('src/domain/secret-text.ts')}); secrets come to processes in files that only their owner reads.`,
  },
  {
    number: 6,
    sentence: 'One run at a time changes a product on a host; a late command of an older one is refused.',
    kept: `The workflow's id is the lock ([decision 0002](decisions/0002-workflow-id-is-the-lock.md)), and every command carries the fence of its run: a number that only grows, and that the host remembers (${at('activities/host/guard.ts')}).`,
  },
  {
    number: 7,
    sentence: 'The old certificate serves until the new one is proven.',
    kept: `A pair is one directory behind one symbolic link, and counts as renewed when workers that were started after the reload have answered handshakes on every listener for every name; until then the way back is the link ([decision 0015](decisions/0015-one-symlink-and-a-proof.md)).`,
  },
  {
    number: 8,
    sentence: 'The active and the last good release are never removed; one that failed is not tried again by itself, and is never what a rollback leads to.',
    kept: `What is removed is chosen against the state and against the link (${at('activities/host/bundle.ts')}); a condemned release is refused, skipped by rollouts and by the release check, and a rollback goes to releases that were proven.`,
  },
  {
    number: 9,
    sentence: 'Whatever is killed, and whenever (agent, control, API, Temporal, PostgreSQL, the power of the host): 1 to 8 hold, and once it is back the run ends.',
    kept: 'A run is a Temporal workflow, whose history is the only place of its progress; each of its activities brings about a state, so that one that is made twice has the effect of one. What has to survive a power cut is synced before it is acknowledged ([decision 0007](decisions/0007-after-a-power-cut.md)).',
  },
  {
    number: 10,
    sentence: 'With the control plane gone, the host can be brought back from what lies on it.',
    kept: `Before anything that serves is touched, the host writes a recovery record and a script that needs only a shell (${at('src/domain/recovery')}, [decision 0005](decisions/0005-recovery-script-first.md)).`,
  },
  {
    number: 11,
    sentence: 'Whatever waits says for what, since when, until when, and who can release it.',
    kept: `A wait is a value with these four members (\`Waiting\`, ${at('src/domain/run/report.ts')}), told by the query \`progress\`, \`runs show\`, \`rollout why\` and the Temporal Web UI.`,
  },
  {
    number: 12,
    sentence: 'During a healthy update, promotion or renewal no request of a client fails.',
    kept: `An instance is taken out of the router, its requests in flight end, and it is let back in when it is proven; others serve meanwhile (${at('src/domain/update/plan.ts')}, [decision 0010](decisions/0010-beside-the-old-one.md)).`,
  },
];

const project = fileURLToPath(new URL('../', import.meta.url));

/** Every citation in a test's source, in its order. @throws Error where no title follows, or a number is no guarantee's */
function citationsOf(file: string, text: string): Citation[] {
  return [...text.matchAll(/(?:\/\/|\*)[^\n]*?\bGuarantees? (\d[\d, and]*)\.(?: \*\/|\n \*\/)?\n([\s\S]{0,900})/g)].map(([, list = '', below = '']) => {
    const numbers = list.split(/, | and /).map(Number);
    const title = /^\s*(?:describe|test)[\s\S]*?[(,]\s*(['"`])((?:\\.|(?!\1)[\s\S])*)\1,\s*(?:async )?\(/.exec(below)?.[2];
    if (title === undefined) throw new Error(`${file} cites guarantees ${list}, and no test follows.`);
    for (const number of numbers) if (!guarantees.some((each) => each.number === number)) throw new Error(`${file} cites guarantee ${number}, which there is not.`);
    return { numbers, file, title: title.replaceAll(/\$\{[^}]*\}|%[sij]/g, '…').replaceAll(/\\(['"`])/g, '$1') };
  });
}

/** The text of docs/guarantees.md. @throws Error where a guarantee is shown by no test */
export function guaranteesPage(): string {
  const files = readdirSync(join(project, 'test'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts')).sort();
  const citations = files.flatMap((name) => citationsOf(`test/${name}`, readFileSync(join(project, 'test', name), 'utf8')));
  return [
    '# Guarantees',
    '',
    'What is always true of a host that Fairlead looks after, what keeps it so, and the tests that show it. Made from `scripts/guarantees.ts` and from what the tests cite, by `npm run docs`;',
    '`npm test` fails when this page is stale. After every run that a kill matrix makes, `brokenGuarantees` (`test/support/invariants.ts`) reads 1, 2, 3, 4 and 6 from the disk and the audit.',
    ...guarantees.flatMap(({ number, sentence, kept }) => {
      const shown = citations.filter(({ numbers }) => numbers.includes(number));
      if (shown.length === 0) throw new Error(`No test cites guarantee ${number}.`);
      return ['', `## ${number}. ${sentence}`, '', kept, '', 'Shown by:', '', ...shown.map(({ file, title }) => `- [${file.replace('test/', '')}](../${file}): ${title}`)];
    }),
    '',
  ].join('\n');
}
