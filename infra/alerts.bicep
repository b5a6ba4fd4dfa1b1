// What somebody must know about. docs/operations.md has a section for each name.
param location string
param tags object
param token string
param workspaceId string
param serviceBusId string
param topicId string
param alertEmail string

var alerts = loadJsonContent('alerts.json')

module people 'br/public:avm/res/insights/action-group:0.8.0' = if (!empty(alertEmail)) {
  params: {
    name: 'ag-${token}'
    groupShortName: 'countersign'
    tags: tags
    enableTelemetry: false
    emailReceivers: [
      {
        name: 'operators'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
  }
}

var told = empty(alertEmail) ? [] : [people!.outputs.resourceId]

module logAlert 'br/public:avm/res/insights/scheduled-query-rule:0.6.0' = [
  for one in alerts: {
    params: {
      name: 'alert-${one.name}-${token}'
      location: location
      tags: tags
      enableTelemetry: false
      alertDisplayName: 'Countersign: ${one.title}'
      alertDescription: 'docs/operations.md, "Alert: ${one.name}"'
      severity: one.severity
      scopes: [workspaceId]
      evaluationFrequency: one.every
      windowSize: one.window
      autoMitigate: false
      // Tables appear with their first row: a new workspace knows none of them.
      skipQueryValidation: true
      criterias: {
        allOf: [
          {
            query: one.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: { actionGroupResourceIds: told }
    }
  }
]

// What no log line tells, because nobody of ours was asked.
var metricAlerts = [
  {
    // A dead-letter lane is emptied by its function, which parks. What stays there could not even be parked.
    name: 'dead-letters'
    resourceId: serviceBusId
    type: 'Microsoft.ServiceBus/namespaces'
    metric: 'DeadletteredMessages'
    aggregation: 'Minimum'
    dimension: 'EntityName'
    severity: 1
  }
  {
    // An event that the function did not take for a day.
    name: 'event-dead-letters'
    resourceId: topicId
    type: 'Microsoft.EventGrid/topics'
    metric: 'DeadLetteredCount'
    aggregation: 'Total'
    dimension: 'EventSubscriptionName'
    severity: 3
  }
]

module metricAlert 'br/public:avm/res/insights/metric-alert:0.4.1' = [
  for one in metricAlerts: {
    params: {
      name: 'alert-${one.name}-${token}'
      tags: tags
      enableTelemetry: false
      alertDescription: 'docs/operations.md, "Alert: ${one.name}"'
      severity: one.severity
      scopes: [one.resourceId]
      targetResourceType: one.type
      targetResourceRegion: location
      evaluationFrequency: 'PT5M'
      windowSize: 'PT15M'
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allof: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: one.name
            metricNamespace: one.type
            metricName: one.metric
            timeAggregation: one.aggregation
            operator: 'GreaterThan'
            threshold: 0
            dimensions: [
              {
                name: one.dimension
                operator: 'Include'
                values: ['*']
              }
            ]
          }
        ]
      }
      actions: told
    }
  }
]
