import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { FairleadError } from '../../domain/failure.ts';

/**
 * Makes sure that one process at a time plays `dir`. The lock is a socket in Linux's abstract namespace (unix(7)), named after the
 * directory: the kernel gives it up with the process, however that ends, so it is never left behind. Whoever finds it held is told by
 * the holder who that is.
 *
 * @returns gives the lock up
 * @throws FairleadError `dev_running`
 */
export async function lockDirectory(dir: string): Promise<() => Promise<void>> {
  const name = `\0fairlead-dev-${createHash('sha256').update(await realpath(dir)).digest('hex').slice(0, 32)}`;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(String(process.pid));
  });
  const held = await new Promise<boolean>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(true) : reject(error)));
    server.listen(name, () => resolve(false));
  });
  if (held) {
    const holder = await askHolder(name);
    throw new FairleadError({
      class: 'request',
      code: 'dev_running',
      message: `another \`fairlead dev\`${holder === '' ? '' : ` (process ${holder})`} already runs on ${dir}`,
      hint: `use it as it is, end it${holder === '' ? '' : ` (kill ${holder})`}, or start this one elsewhere with --dir`,
    });
  }
  server.unref();
  return () => new Promise((resolve) => server.close(() => resolve()));
}

function askHolder(name: string): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(name);
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(/^\d+$/.test(text) ? text : ''));
  });
}
