import type { Command } from 'commander';
import { createProgram } from '../src/cli/program.ts';
import { version } from '../src/runtime/version.ts';
import { settingTable } from '../src/runtime/setting.ts';

const nowhere = { env: {}, cwd: '/', out: () => undefined, note: () => undefined, terminal: false, draw: () => undefined, interrupted: new AbortController().signal, exitWith: () => undefined };

/** The text of docs/commands.md: the help of every command, as it is printed. */
export function commandsPage(): string {
  const program = createProgram(nowhere, version);
  return ['# Commands', '', 'Made from the commands themselves by `npm run docs`; `npm test` fails when this page is stale.', '', ...sections(program, '')].join('\n');
}

function sections(command: Command, prefix: string): string[] {
  const name = `${prefix}${command.name()}`;
  const help = command.configureHelp({ helpWidth: 120 }).helpInformation().trimEnd();
  return [`## ${name}`, '', '```', help, '```', '', ...command.commands.flatMap((inner) => sections(inner as Command, `${name} `))];
}

/** The text of docs/configuration.md: every setting of the table that `config.ts` reads by. */
export function configurationPage(): string {
  const rows = settingTable.map(({ key, env, flag, kind, about, otherwise }) => {
    const values = kind.type === 'choice' ? kind.of.map((value) => `\`${value}\``).join(', ') : kind.type === 'integer' ? `${kind.min} to ${kind.max} ${kind.unit}` : kind.type === 'address' ? 'host:port' : kind.type === 'switch' ? '`on`, `off`' : kind.type;
    return `| \`${key}\` | \`${env}\` | \`${flag}\` | ${values} | ${otherwise} | ${about} |`;
  });
  return `# Configuration

Made from the table of settings by \`npm run docs\`; \`npm test\` fails when this page is stale.

A flag wins over the environment, the environment over the configuration file, the file over the default. \`--env-file FILE\`, else
\`FAIRLEAD_ENV_FILE\`, names a file of \`NAME=value\` lines that stands for what the environment does not say; with a \`-\` before its path it may
be missing. The configuration file is
\`--config FILE\`, else \`FAIRLEAD_CONFIG\`, else \`<root>/etc/fairlead/config.yaml\` where there is one; dots in a setting's name are
nesting in it. \`fairlead config validate\` names every problem at once, \`fairlead config show\` says where each value came from,
with secrets masked. \`api.listen\` and the like are for \`fairlead serve\`; commands find their API by \`--api\` and \`--key-file\`,
\`FAIRLEAD_API_URL\` and \`FAIRLEAD_API_KEY_FILE\`, or the \`client.json\` of a development instance.

| setting | environment | flag | values | without it | what it is |
|---|---|---|---|---|---|
${rows.join('\n')}

Commands and development know a few more: \`FAIRLEAD_TEMPORAL_CLI\` (the Temporal CLI to use), \`FAIRLEAD_REQUIRE_ALL=1\` (a skipped
test fails \`npm test\`), \`FAIRLEAD_SHARED_DIR\` (where \`fairlead dev\` may put what PostgreSQL's own user has to reach).
`;
}
