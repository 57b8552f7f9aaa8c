// One file is two programs: the agent and the embedded router's process. The dynamic imports keep each from running what only the other needs.
if (process.argv[2] === 'router') {
  const { runRouterProcess } = await import('../src/adapters/router/embedded/server.ts');
  await runRouterProcess(process.argv.at(-1) ?? '.');
} else {
  const { runAgent } = await import('../src/runtime/agent/run.ts');
  await runAgent(process.argv.slice(2));
}
