import type { ProductName, ReleaseId, Sha256 } from '../ids.ts';
import type { ProductManifest, Role } from '../product/manifest.ts';

export type BundleFormat = 'gz' | 'zst';

/** The name of the file list, which is the first entry of every bundle. */
export const fileListName = 'fairlead.files.json';

/** A file, directory or symbolic link of a release. Nothing else may stand in a bundle. */
export type FileEntry =
  | { readonly path: string; readonly type: 'file'; readonly mode: number; readonly size: number; readonly sha256: Sha256 }
  | { readonly path: string; readonly type: 'directory'; readonly mode: number }
  | { readonly path: string; readonly type: 'symlink'; readonly target: string };

/** What the bundle must hold, in the order in which it stands there. Paths are relative, with `/`, in Unicode NFC. */
export interface FileList {
  readonly schema: 1;
  readonly entries: readonly FileEntry[];
}

/** What an artifact says of itself, and what its publisher signs (as canonical JSON, keys sorted, no white space). */
export interface ArtifactIdentity {
  readonly product: ProductName;
  readonly releaseId: ReleaseId;
  readonly role: Role;
  readonly profile: string;
  readonly format: BundleFormat;
  /** Size and digest of the compressed file, byte for byte. */
  readonly sizeBytes: number;
  readonly sha256: Sha256;
  /** Digest of `fairlead.files.json`, which names the digest of every file. */
  readonly fileListSha256: Sha256;
}

export interface ArtifactSignature {
  /** First 16 hexadecimal digits of the SHA-256 of the publisher's public key (SPKI, DER). */
  readonly keyId: string;
  /** Ed25519 (RFC 8032) over the identity, in base64. */
  readonly value: string;
}

/** An artifact as control knows it: where it lies, what it is, and what its manifest says. */
export interface Artifact extends ArtifactIdentity {
  readonly platformVersion: string;
  readonly signature: ArtifactSignature | null;
  readonly manifest: ProductManifest;
}

/** What a host is told to fetch: the artifact without its manifest, which it reads from the bundle itself. */
export type ArtifactRef = Omit<Artifact, 'manifest'>;

/** Bounds that extraction holds before a byte is written. */
export interface ExtractionLimits {
  readonly maxEntries: number;
  readonly maxTotalBytes: number;
  readonly maxFileBytes: number;
  /** Unpacked bytes per compressed byte. */
  readonly maxRatio: number;
  /** UTF-8 bytes of one path. */
  readonly maxPathBytes: number;
  readonly maxPathDepth: number;
}

export const defaultExtractionLimits: ExtractionLimits = {
  maxEntries: 200_000,
  maxTotalBytes: 8 * 2 ** 30,
  maxFileBytes: 4 * 2 ** 30,
  maxRatio: 200,
  maxPathBytes: 1024,
  maxPathDepth: 64,
};
