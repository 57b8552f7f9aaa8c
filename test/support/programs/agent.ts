// The agent as it is shipped, with checkpoints around its activities. Bundled like the real one, so that it starts as fast.
if (process.argv[2] === 'router') {
  const { runRouterProcess } = await import('../../../src/adapters/router/embedded/server.ts');
  await runRouterProcess(process.argv.at(-1) ?? '.');
} else {
  const { runAgent } = await import('../../../src/runtime/agent/run.ts');
  const { createAround, routersVariable, wrapHost } = await import('../checkpoints.ts');
  const router = (JSON.parse(process.env[routersVariable] ?? '{}') as Record<string, string>)[process.env['FAIRLEAD_HOST_ID'] ?? ''];
  if (router !== undefined) process.env['FAIRLEAD_ROUTER'] = router;
  await runAgent(process.argv.slice(2), { around: createAround('agent', process.env['FAIRLEAD_HOST_ID'] ?? ''), wrap: wrapHost });
}
