import { readFileSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { completeMark } from '../../../src/domain/host/layout.ts';

// Looks at `current` again and again until standard input ends, as somebody who starts from it would, then tells how often, which releases it
// saw, and what was wrong.
const link = process.argv[2] as string;
const seen = new Set<string>();
const wrong: string[] = [];
let looks = 0;

function look(): void {
  for (let count = 0; count < 500; count += 1) {
    looks += 1;
    try {
      const target = readlinkSync(link);
      if (!seen.has(target)) seen.add(target);
      JSON.parse(readFileSync(join(dirname(link), target, completeMark), 'utf8'));
      readFileSync(join(link, 'lib/small'));
    } catch (error) {
      if (wrong.length < 10) wrong.push(String(error));
    }
  }
  setImmediate(look);
}
process.stdin.once('end', () => {
  process.stdout.write(`${JSON.stringify({ looks, seen: [...seen].sort(), wrong })}\n`, () => process.exit(0));
});
process.stdin.resume();
process.stdout.write('ready\n');
look();
