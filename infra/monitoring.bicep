// Log Analytics, and Application Insights in front of it. Ingestion takes Entra tokens only.
param location string
param tags object
param token string
@description('The identity of the apps.')
param principalId string

var metricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb' // Monitoring Metrics Publisher

module workspace 'br/public:avm/res/operational-insights/workspace:0.16.1' = {
  params: {
    name: 'log-${token}'
    location: location
    tags: tags
    enableTelemetry: false
    dataRetention: 30
    features: {
      disableLocalAuth: true
    }
  }
}

module insights 'br/public:avm/res/insights/component:0.8.0' = {
  params: {
    name: 'appi-${token}'
    location: location
    tags: tags
    enableTelemetry: false
    workspaceResourceId: workspace.outputs.resourceId
    disableLocalAuth: true
    roleAssignments: [
      {
        principalId: principalId
        principalType: 'ServicePrincipal'
        roleDefinitionIdOrName: metricsPublisher
      }
    ]
  }
}

// The workbook's queries run over the workspace; whoever reads it needs Log Analytics Reader.
resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'countersign')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Countersign'
    category: 'workbook'
    sourceId: workspace.outputs.resourceId
    serializedData: loadTextContent('workbook.json')
  }
}

output workspaceId string = workspace.outputs.resourceId
output connectionString string = insights.outputs.connectionString
