import { readIfThere } from '../adapters/files/durable.ts';
import type { Logger } from '../adapters/logger.ts';
import { createTemporalGateway, type TemporalGateway } from '../adapters/temporal-gateway/index.ts';
import { readSealKeys } from '../adapters/temporal-gateway/seal.ts';
import { FairleadError } from '../domain/failure.ts';
import type { AuditLog, KeyStore } from '../ports/control-stores.ts';
import type { GatewayFigures } from '../ports/gateway-figures.ts';
import type { Part } from './bootstrap.ts';
import type { GatewaySettings, TemporalSettings } from './config.ts';
import { hostIdentitiesOf } from './host-identities.ts';
import { cannotListen } from './listen-failure.ts';

/**
 * The hosts' way to Temporal, a part of the API's process: that one is stateless and runs in any number of copies, has the keys, the audit and the metrics,
 * and is what hosts reach in any case.
 */
export function gatewayPart(settings: GatewaySettings, temporal: TemporalSettings, stores: { readonly keys: KeyStore; readonly audit: AuditLog }, logger: Logger): { readonly part: Part; figures(): GatewayFigures } {
  let gateway: TemporalGateway | null = null;
  return {
    part: {
      name: 'gateway',
      start: async () => {
        const { listen, tls, sealKeyFile } = settings;
        const sealKeys = readSealKeys(await readSealFile(sealKeyFile), sealKeyFile);
        const made = createTemporalGateway({ temporalAddress: temporal.address, namespace: temporal.namespace, identities: hostIdentitiesOf(stores.keys), sealKeys, audit: stores.audit, logger });
        const port = await made.listen(listen, tls).catch((error: unknown) => Promise.reject(cannotListen(error, listen, 'FAIRLEAD_GATEWAY_LISTEN')));
        gateway = made;
        logger.info({ address: `${listen.host}:${port}`, tls: tls !== null, temporal: temporal.address }, 'the gateway is open');
        return () => made.close();
      },
    },
    figures: () => gateway?.figures() ?? { openPolls: 0, passed: [], refused: [] },
  };
}

async function readSealFile(file: string): Promise<string> {
  const text = await readIfThere(file);
  if (text !== null) return text;
  throw new FairleadError({
    class: 'request',
    code: 'gateway_seal_keys_missing',
    message: `The gateway has no keys to seal task tokens with: there is no ${file}.`,
    hint: `Make one: (umask 077; echo "k1 $(head -c 32 /dev/urandom | base64)" > ${file}); every copy of the API needs the same.`,
  });
}
