//! The simulated fields of kinds with types of their own.

/// The simulated fields of each of their types; `*` means all fields not in any other table.
pub(super) const MODELLED_OF_CUSTOM_KINDS: [(&str, &str); 23] = [
    ("ResourceFlavorSpec", "nodeLabels nodeTaints tolerations"),
    (
        "ClusterQueueSpec",
        "cohort cohortName resourceGroups queueingStrategy namespaceSelector flavorFungibility preemption stopPolicy",
    ),
    ("LocalQueueSpec", "clusterQueue stopPolicy"),
    ("ResourceGroup FlavorQuotas FlavorResourceQuota", "*"),
    ("FlavorFungibility", "whenCanBorrow whenCanPreempt"),
    ("ClusterQueuePreemption BorrowWithinCohort", "*"),
    (
        "ScaledJobSpec",
        "jobTargetRef pollingInterval successfulJobsHistoryLimit failedJobsHistoryLimit rolloutStrategy rollout \
         minReplicaCount maxReplicaCount scalingStrategy triggers",
    ),
    ("JobRollout", "strategy"),
    ("JobScalingStrategy", "*"),
    (
        "RolloutSpec",
        "replicas selector template workloadRef strategy minReadySeconds revisionHistoryLimit paused \
         progressDeadlineSeconds progressDeadlineAbort rollbackWindow restartAt",
    ),
    (
        "CanaryStrategy",
        "canaryService stableService steps trafficRouting maxSurge maxUnavailable analysis \
         scaleDownDelaySeconds scaleDownDelayRevisionLimit abortScaleDownDelaySeconds dynamicStableScale \
         minPodsPerReplicaSet replicaProgressThreshold",
    ),
    (
        "BlueGreenStrategy",
        "activeService previewService previewReplicaCount autoPromotionEnabled autoPromotionSeconds \
         scaleDownDelaySeconds scaleDownDelayRevisionLimit abortScaleDownDelaySeconds \
         prePromotionAnalysis postPromotionAnalysis",
    ),
    ("CanaryStep", "setWeight pause analysis setCanaryScale"),
    ("RolloutTrafficRouting", "nginx plugins maxTrafficWeight"),
    ("RolloutAnalysis RolloutAnalysisBackground AnalysisTemplateSpec", "*"),
    (
        "WorkloadRef RollbackWindow RolloutStrategy RolloutPause SetCanaryScale ReplicaProgressThreshold \
         AnalysisTemplateRef AnalysisRunArgument ArgumentValueFrom FieldRef DryRun AnalysisMetric \
         AnalysisArgument",
        "*",
    ),
    ("NginxTrafficRouting", "stableIngress stableIngresses"),
    ("AdvancedConfig", "horizontalPodAutoscalerConfig scalingModifiers"),
    ("HorizontalPodAutoscalerConfig ScalingModifiers Fallback", "*"),
    ("ScaleTarget", "name apiVersion kind"),
    ("ScaleTargetRef", "*"),
    ("ScaleTriggers", "type name metadata metricType"),
    (
        "TargetRef PodUpdatePolicy EvictionRequirement PodResourcePolicy ContainerResourcePolicy",
        "*",
    ),
];
