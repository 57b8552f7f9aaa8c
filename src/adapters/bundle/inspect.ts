import type { Artifact, FileList } from '../../domain/bundle/artifact.ts';
import { verifyBundle } from './verify.ts';

/** What a bundle is, from the file alone. Reads and checks all of it: what is told of a bundle must be true of every byte. */
export async function inspectBundle(file: string): Promise<{ artifact: Artifact; fileList: FileList }> {
  return verifyBundle(file);
}
