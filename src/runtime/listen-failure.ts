import { errnoOf } from '../adapters/files/durable.ts';
import { FairleadError } from '../domain/failure.ts';
import type { Address } from './config.ts';

/** Why a server cannot listen, and what to do about it; every other error as it is. @param variable the setting that says where */
export function cannotListen(error: unknown, { host, port }: Address, variable = 'FAIRLEAD_API_LISTEN'): unknown {
  const where = `${host}:${port}`;
  switch (errnoOf(error)) {
    case 'EADDRINUSE':
      return new FairleadError(
        { class: 'host', code: 'port_in_use', message: `Port ${where} is in use: another program listens there.`, hint: `See which: ss -ltnp 'sport = :${port}'. Or choose another with ${variable}.` },
        { cause: error },
      );
    case 'EACCES':
      return new FairleadError({ class: 'host', code: 'port_forbidden', message: `This user may not listen on ${where}.`, hint: `Ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another with ${variable}.` }, { cause: error });
    case 'EADDRNOTAVAIL':
      return new FairleadError({ class: 'host', code: 'address_unknown', message: `This machine has no address ${host}.`, hint: `Set ${variable} to 127.0.0.1:PORT or 0.0.0.0:PORT.` }, { cause: error });
    default:
      return error;
  }
}
