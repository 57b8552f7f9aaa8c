import * as fs from 'node:fs';
import { join } from 'node:path';

/** A generator with a fixed seed (xorshift32): every run packs the same bytes. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Writes source-like text into `fileCount` files below `lib`: few words often, many words seldom, some numbers that no compressor can guess. Shrinks to about a quarter. */
export function writeSourceTree(directory: string, fileCount: number, totalBytes: number): void {
  const random = randomFrom(0x2545f491);
  const words = Array.from({ length: 6_000 }, () => Array.from({ length: 3 + Math.floor(random() * 9) }, () => String.fromCharCode(97 + Math.floor(random() * 26))).join(''));
  const weights = Array.from({ length: fileCount }, () => -Math.log(random()));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  for (const [index, weight] of weights.entries()) {
    const folder = join(directory, 'lib', `package-${Math.floor(index / 20)}`);
    fs.mkdirSync(folder, { recursive: true });
    const size = Math.floor((totalBytes * weight) / sum);
    const parts: string[] = [];
    for (let length = 0; length < size; ) {
      const word = words[Math.floor(random() ** 7 * words.length)] ?? '';
      const part = random() < 0.03 ? `${word} = ${Math.floor(random() * 2 ** 40).toString(16)};\n` : `${word} `;
      parts.push(part);
      length += part.length;
    }
    fs.writeFileSync(join(folder, `module-${index}.js`), parts.join('').slice(0, size));
  }
}
