import { z } from 'zod';

/** A payload as protobuf's JSON mapping writes it: bytes in base64. */
export const CodecPayload = z.object({
  metadata: z.record(z.string(), z.string()).optional().meta({ description: 'Values in base64' }),
  data: z.string().optional().meta({ description: 'Base64' }),
});
export const CodecPayloads = z.object({ payloads: z.array(CodecPayload).max(10_000) }).meta({ id: 'CodecPayloads', description: "What Temporal's Web UI and command line send to a codec server, and get" });
export type CodecPayloads = z.infer<typeof CodecPayloads>;
