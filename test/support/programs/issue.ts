// Takes steps of an order at an ACME server, as the agent does: node issue.ts DIRECTORY REQUEST.json FROM. Prints the name of each step before and after
// it, and waits to be killed where it is told to: KILL_AFTER names the step.
import { readFileSync } from 'node:fs';
import { createAcmeIssuer } from '../../../src/adapters/certificate-issuer/acme/index.ts';
import { createCommandRunner } from '../../../src/adapters/process/index.ts';
import type { CertificateRequest } from '../../../src/domain/certificate/request.ts';
import { issue } from '../issuing.ts';

const [directory = '', requestFile = ''] = process.argv.slice(2);
const request = JSON.parse(readFileSync(requestFile, 'utf8')) as CertificateRequest;
const staged = await issue(createAcmeIssuer({ directory, commands: createCommandRunner() }), request, null, async (step) => {
  process.stdout.write(`${step}\n`);
  if (step === process.env['KILL_AFTER']) await new Promise(() => setInterval(() => undefined, 1_000));
});
process.stdout.write(`${JSON.stringify(staged.facts.serial)}\n`);
