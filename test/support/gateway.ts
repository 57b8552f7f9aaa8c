import { randomBytes, webcrypto } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Metadata, credentials } from '@grpc/grpc-js';
import * as x509 from '@peculiar/x509';
import { createTemporalGateway, type TemporalGateway } from '../../src/adapters/temporal-gateway/index.ts';
import type { SealKey } from '../../src/adapters/temporal-gateway/seal.ts';
import type { GatewayAccess } from '../../src/adapters/temporal/agent-connection.ts';
import type { AuditEntry } from '../../src/domain/audit/chain.ts';
import type { HostId } from '../../src/domain/ids.ts';

export interface TestGateway {
  readonly gateway: TemporalGateway;
  readonly address: string;
  /** As an agent with this key would reach it. */
  access(key: string): GatewayAccess;
  /** A client of bytes, for calls that no agent makes. */
  raw(key: string | null): RawClient;
  end(): Promise<void>;
}

export interface RawClient {
  /** @returns the answer, or the code and the words of the refusal */
  call(path: string, message: Uint8Array, options?: { readonly signal?: AbortSignal; readonly headers?: Readonly<Record<string, string>> }): Promise<{ readonly code: number; readonly details: string; readonly message: Buffer }>;
  close(): void;
}

/** A store of keys that tests change, an audit that they read, and gateways with TLS that share the keys of the seal. */
export async function createGatewayBed(temporalAddress: string) {
  const directory = await fs.mkdtemp(join(tmpdir(), 'fairlead-gateway-'));
  const files = { certificateFile: join(directory, 'tls.crt'), keyFile: join(directory, 'tls.key') };
  await writeCertificate(files);
  const keys = new Map<string, HostId>();
  const rows: AuditEntry[] = [];
  const sealKeys: SealKey[] = [{ id: 'k1', secret: randomBytes(32) }];
  const gateways: TestGateway[] = [];
  let storeAway = false;

  return {
    keys,
    rows,
    directory,
    setStoreAway: (away: boolean) => void (storeAway = away),
    async startGateway(more: { readonly temporalAddress?: string; readonly tls?: boolean } = {}): Promise<TestGateway> {
      const gateway = createTemporalGateway({
        temporalAddress: more.temporalAddress ?? temporalAddress,
        namespace: 'default',
        identities: {
          identify: async (text) => {
            if (storeAway) throw new Error('the store is away');
            const host = keys.get(text);
            return host === undefined ? null : { host };
          },
        },
        sealKeys,
        audit: { append: async (entry) => (rows.push(entry), {} as never) },
        logger: { warn: () => undefined },
        gatherMs: 100,
      });
      const isTls = more.tls ?? true;
      const address = `127.0.0.1:${await gateway.listen({ host: '127.0.0.1', port: 0 }, isTls ? files : null)}`;
      const clients: RawClient[] = [];
      const started: TestGateway = {
        gateway,
        address,
        access: (key) => ({ address, tls: isTls ? { caFile: files.certificateFile } : null, readKey: () => key }),
        raw(key) {
          const made = rawClient(address, key, isTls ? files.certificateFile : null);
          clients.push(made);
          return made;
        },
        async end() {
          for (const client of clients) client.close();
          await gateway.close(2_000);
        },
      };
      gateways.push(started);
      return started;
    },
    async end() {
      for (const gateway of gateways) await gateway.end();
      await fs.rm(directory, { recursive: true, force: true });
    },
  };
}
export type GatewayBed = Awaited<ReturnType<typeof createGatewayBed>>;

function rawClient(address: string, key: string | null, caFile: string | null): RawClient {
  const made = (caFile === null ? Promise.resolve(null) : fs.readFile(caFile)).then((authority) => new Client(address, authority === null ? credentials.createInsecure() : credentials.createSsl(authority)));
  const asIs = (message: Buffer): Buffer => message;
  return {
    async call(path, message, { signal, headers = {} } = {}) {
      const client = await made;
      const metadata = new Metadata();
      if (key !== null) metadata.set('authorization', `Bearer ${key}`);
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
      return new Promise((resolve) => {
        const call = client.makeUnaryRequest(path, asIs, asIs, Buffer.from(message), metadata, { deadline: Date.now() + 60_000 }, (error, answer) =>
          resolve(error ? { code: error.code, details: error.details, message: Buffer.alloc(0) } : { code: 0, details: '', message: answer as Buffer }),
        );
        signal?.addEventListener('abort', () => call.cancel(), { once: true });
      });
    },
    close: () => void made.then((client) => client.close()),
  };
}

/** A certificate for 127.0.0.1 that has signed itself. */
async function writeCertificate({ certificateFile, keyFile }: { readonly certificateFile: string; readonly keyFile: string }): Promise<void> {
  x509.cryptoProvider.set(webcrypto as never);
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const pair = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=gateway',
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 24 * 3_600_000),
    signingAlgorithm: algorithm,
    keys: pair as never,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }]), new x509.BasicConstraintsExtension(true)],
  });
  await fs.writeFile(certificateFile, certificate.toString('pem'));
  const secret = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', pair.privateKey)).toString('base64');
  await fs.writeFile(keyFile, `-----BEGIN PRIVATE KEY-----\n${secret.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`, { mode: 0o600 });
}
