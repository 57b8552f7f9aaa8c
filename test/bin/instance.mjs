#!/usr/bin/env node
// A small service that a test can look into. What it does wrong is said by MISBEHAVE: refuse-stop, slow-stop (for STOP_MS, else a second), exit-7, crash, leave-child.
import { spawn } from 'node:child_process';
import { writeFileSync, appendFileSync } from 'node:fs';
import { createServer } from 'node:http';

const misbehave = process.env.MISBEHAVE ?? '';
if (process.env.STARTS_FILE) appendFileSync(process.env.STARTS_FILE, `${process.pid}\n`);
if (misbehave === 'exit-7') {
  console.error('the last words');
  process.exit(7);
}
if (misbehave === 'leave-child') spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore', detached: true });
process.on('SIGTERM', () => {
  console.log('asked to stop');
  if (misbehave === 'slow-stop') setTimeout(() => process.exit(0), Number(process.env.STOP_MS ?? 1_000));
  else if (misbehave !== 'refuse-stop') process.exit(0);
});
let reloads = 0;
process.on('SIGUSR2', () => (process.env.ON_SIGUSR2 === 'count' ? (reloads += 1) : process.abort()));

const server = createServer((request, response) => response.end(JSON.stringify({ pid: process.pid, cwd: process.cwd(), env: process.env, reloads })));
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  console.log('listening');
  if (process.env.READY_FILE) writeFileSync(process.env.READY_FILE, String(process.pid));
});
