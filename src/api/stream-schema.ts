import { z } from 'zod';

const bytes = z.any().meta({ type: 'string', format: 'binary' });

/** Bodies that are no JSON, for the OpenAPI document. */
export const eventStreamBody = { description: 'Server-sent events', content: { 'text/event-stream': { schema: z.string() } } };
export const artifactBody = { description: 'The bundle', content: { 'application/octet-stream': { schema: bytes } } };
export const partialArtifactBody = { description: 'The part of the bundle that was asked for', content: { 'application/octet-stream': { schema: bytes } } };
export const textBody = (description: string) => ({ description, content: { 'text/plain': { schema: z.string() } } });
export const uploadBody = bytes.describe('The bundle, byte for byte');
export const auditExportBody = { description: 'JSON lines', content: { 'application/x-ndjson': { schema: z.string() } } };
