/** `abcd****wxyz`: enough to tell two secrets apart, not enough to use one. Short secrets are hidden whole. */
export function maskSecret(secret: string): string {
  return secret.length < 16 ? '****' : `${secret.slice(0, 4)}****${secret.slice(-4)}`;
}
