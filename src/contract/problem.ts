import { z } from 'zod';

/** The media type of every answer that is not what was asked for (RFC 9457). */
export const problemMediaType = 'application/problem+json';

/** RFC 9457 problem details with Fairlead's members. */
export const Problem = z
  .looseObject({
    type: z.string().meta({ description: 'URI that names the kind of problem', examples: ['urn:fairlead:problem:unknown_host'] }),
    title: z.string().meta({ description: 'The kind of problem in a few words', examples: ['Not Found'] }),
    status: z.number().int().meta({ description: 'HTTP status', examples: [404] }),
    code: z.string().meta({ description: 'Stable code, for programs', examples: ['unknown_host'] }),
    class: z.enum(['release', 'host', 'dependency', 'orchestrator', 'request']).meta({ description: 'Who is to blame' }),
    detail: z.string().meta({ description: 'What happened, where, and which limit was reached', examples: ['No host "h9" is known.'] }),
    hint: z.string().nullable().meta({ description: 'What to do about it', examples: ['Known hosts: h1, h2.'] }),
    instance: z.string().meta({ description: 'The request, as it stands in the log', examples: ['urn:fairlead:request:req-1f'] }),
    retryable: z.boolean().meta({ description: 'Whether the same request may succeed later with nothing changed' }),
    errors: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .optional()
      .meta({ description: 'Every part of the request that was refused' }),
    holdingRunId: z.string().optional().meta({ description: 'The run that holds the host (code `run_in_progress`)' }),
    links: z.record(z.string(), z.string()).optional().meta({ description: 'Where to go on' }),
  })
  .meta({ id: 'Problem', description: 'Problem details (RFC 9457)' });
export type Problem = z.infer<typeof Problem>;
