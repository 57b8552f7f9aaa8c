import { canonicalJson } from '../canonical-json.ts';
import type { HostId, ProductName } from '../ids.ts';

/** The public half of a host's sealing key: the 32 bytes of X25519 (RFC 7748) in base64url. As short as a fingerprint would be, and shown as it is. */
export type SealingKey = string & { readonly brand?: 'sealing-key' };
export const sealingKeyPattern = /^[A-Za-z0-9_-]{43}$/;

/** What a sealed pair is for, and nothing else. Authenticated with it: a pair that is sealed for one context opens in no other. */
export interface SealContext {
  readonly product: ProductName;
  readonly certificate: string;
  /** SHA-256 of the DER of the certificate: what the order gave. */
  readonly fingerprint: string;
  /** The distribution that it was sealed in. */
  readonly distribution: string;
  /** Whose agent has sealed it, and whose may open it. */
  readonly from: HostId;
  readonly to: HostId;
}

/** Key and certificate of a pair that only the holder of one private key can read. May stand in histories, in the database and in logs. */
export interface SealedPair {
  readonly format: 'fairlead-seal-1';
  readonly context: SealContext;
  /** Whose private half opens it. */
  readonly recipient: SealingKey;
  /** Made for this one pair, and its private half thrown away. */
  readonly ephemeral: SealingKey;
  /** 96 bits, base64url. */
  readonly nonce: string;
  /** With the tag of AES-256-GCM at its end, base64url. */
  readonly ciphertext: string;
}

/** A pair that another host has got, on its way to this one. */
export interface SealedDelivery {
  readonly sealed: SealedPair;
  readonly context: SealContext;
}

/** Pure: the context as the bytes that are authenticated; the same for the same context, however its fields are ordered. */
export const sealContextText = ({ product, certificate, fingerprint, distribution, from, to }: SealContext): string => `fairlead-seal-1\n${canonicalJson({ product, certificate, fingerprint, distribution, from, to })}`;

/** Pure: where two contexts differ; empty for the same. */
export function contextDifferences(a: SealContext, b: SealContext): readonly (keyof SealContext)[] {
  return (['product', 'certificate', 'fingerprint', 'distribution', 'from', 'to'] as const).filter((field) => a[field] !== b[field]);
}
