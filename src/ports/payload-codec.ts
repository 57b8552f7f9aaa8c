/** A payload as Temporal keeps it. */
export interface CodedPayload {
  readonly metadata?: Readonly<Record<string, Uint8Array>> | null;
  readonly data?: Uint8Array | null;
}

/** Encrypts and opens payloads for who looks at histories. Fails with `payload_key_unknown`, `payload_key_wrong`, `payload_damaged`. */
export interface PayloadCodecService {
  encode(payloads: CodedPayload[]): Promise<CodedPayload[]>;
  decode(payloads: CodedPayload[]): Promise<CodedPayload[]>;
}
