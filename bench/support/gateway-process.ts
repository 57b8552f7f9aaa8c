import { createGatewayBed } from '../../test/support/gateway.ts';

// node bench/support/gateway-process.ts TEMPORAL KEY HOST: a gateway with TLS as a process of its own, as it is in production, until its parent is gone.
const [temporalAddress = '', key = '', host = ''] = process.argv.slice(2);
const bed = await createGatewayBed(temporalAddress);
bed.keys.set(key, host as never);
const { address, access } = await bed.startGateway();
process.send?.({ address, caFile: access(key).tls?.caFile });
process.once('disconnect', () => void bed.end().then(() => process.exit(0)));
