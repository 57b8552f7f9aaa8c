/**
 * What a host may ask of Temporal: what its poller needs to take tasks from its own queue and to answer them, and nothing else. Every method of the service
 * stands in one of the two lists. One that stands in neither (a newer server has it) is refused like those of the second.
 */
export const workflowServiceName = 'temporal.api.workflowservice.v1.WorkflowService';

export const allowedMethods = ['GetSystemInfo', 'PollActivityTaskQueue', 'RecordActivityTaskHeartbeat', 'RespondActivityTaskCompleted', 'RespondActivityTaskFailed', 'RespondActivityTaskCanceled'] as const;
export type AllowedMethod = (typeof allowedMethods)[number];

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

/** Answers by id name a run, and no token that says who was given the task: with them a host could fail another host's work. */
export const refusedMethods: readonly string[] = words(`
  RecordActivityTaskHeartbeatById RespondActivityTaskCompletedById RespondActivityTaskFailedById RespondActivityTaskCanceledById

  RegisterNamespace DescribeNamespace ListNamespaces UpdateNamespace DeprecateNamespace GetClusterInfo GetSearchAttributes

  StartWorkflowExecution ExecuteMultiOperation GetWorkflowExecutionHistory GetWorkflowExecutionHistoryReverse PollWorkflowTaskQueue RespondWorkflowTaskCompleted
  RespondWorkflowTaskFailed RequestCancelWorkflowExecution SignalWorkflowExecution SignalWithStartWorkflowExecution ResetWorkflowExecution TerminateWorkflowExecution
  DeleteWorkflowExecution PauseWorkflowExecution UnpauseWorkflowExecution UpdateWorkflowExecution PollWorkflowExecutionUpdate PollWorkflowExecutionTimeSkipping
  UpdateWorkflowExecutionOptions ListOpenWorkflowExecutions ListClosedWorkflowExecutions ListWorkflowExecutions ListArchivedWorkflowExecutions ScanWorkflowExecutions
  CountWorkflowExecutions QueryWorkflow DescribeWorkflowExecution RespondQueryTaskCompleted ResetStickyTaskQueue

  DescribeTaskQueue ListTaskQueuePartitions UpdateTaskQueueConfig ShutdownWorker RecordWorkerHeartbeat ListWorkers CountWorkers DescribeWorker FetchWorkerConfig UpdateWorkerConfig

  UpdateActivityOptions PauseActivity UnpauseActivity ResetActivity StartActivityExecution DescribeActivityExecution PollActivityExecution ListActivityExecutions
  CountActivityExecutions RequestCancelActivityExecution TerminateActivityExecution DeleteActivityExecution PauseActivityExecution ResetActivityExecution
  UnpauseActivityExecution UpdateActivityExecutionOptions

  CreateSchedule DescribeSchedule UpdateSchedule PatchSchedule ListScheduleMatchingTimes DeleteSchedule ListSchedules CountSchedules
  StartBatchOperation StopBatchOperation DescribeBatchOperation ListBatchOperations
  CreateWorkflowRule DescribeWorkflowRule DeleteWorkflowRule ListWorkflowRules TriggerWorkflowRule

  UpdateWorkerBuildIdCompatibility GetWorkerBuildIdCompatibility UpdateWorkerVersioningRules GetWorkerVersioningRules GetWorkerTaskReachability DescribeDeployment
  ListDeployments GetDeploymentReachability GetCurrentDeployment SetCurrentDeployment DescribeWorkerDeploymentVersion SetWorkerDeploymentCurrentVersion
  DescribeWorkerDeployment DeleteWorkerDeployment DeleteWorkerDeploymentVersion SetWorkerDeploymentRampingVersion ListWorkerDeployments CreateWorkerDeployment
  CreateWorkerDeploymentVersion UpdateWorkerDeploymentVersionComputeConfig ValidateWorkerDeploymentVersionComputeConfig UpdateWorkerDeploymentVersionMetadata
  SetWorkerDeploymentManager

  PollNexusTaskQueue RespondNexusTaskCompleted RespondNexusTaskFailed StartNexusOperationExecution DescribeNexusOperationExecution PollNexusOperationExecution
  ListNexusOperationExecutions CountNexusOperationExecutions RequestCancelNexusOperationExecution TerminateNexusOperationExecution DeleteNexusOperationExecution
`);

const allowed: ReadonlySet<string> = new Set(allowedMethods);
const refused: ReadonlySet<string> = new Set(refusedMethods);

/** @param path of a gRPC call, `/service/method` @returns the method where a host may call it, else null */
export function allowedMethodOf(path: string): AllowedMethod | null {
  const [nothing, service, method, ...rest] = path.split('/');
  return nothing === '' && service === workflowServiceName && rest.length === 0 && method !== undefined && allowed.has(method) ? (method as AllowedMethod) : null;
}

/**
 * What a refused call is counted and audited as. Names that the caller has made up are one: who makes up a new one for each call must not fill the
 * audit, nor the memory.
 */
export function methodLabel(path: string): string {
  const [, service = '', method = ''] = path.split('/');
  if (service === workflowServiceName && (allowed.has(method) || refused.has(method))) return method;
  return /^(temporal\.api\.operatorservice\.v1\.OperatorService|grpc\.health\.v1\.Health|grpc\.reflection\.v1(alpha)?\.ServerReflection)$/.test(service) ? service.slice(service.lastIndexOf('.') + 1) : 'other';
}
