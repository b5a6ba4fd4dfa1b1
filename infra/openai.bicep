// Only with azureOpenAi: an account with a deployment of each model, reached by the apps' identity. There is no key.
param location string
param tags object
param token string
@description('The identity of the apps.')
param principalId string
param workspaceId string
param endpointSubnetId string
param zones object
param model string
@description('Empty: the version that Azure takes by itself.')
param modelVersion string
@description('The model that is asked when the first does not answer; empty: none.')
param fallback string
@description('Thousands of tokens per minute, for each.')
param capacity int

var private = !empty(endpointSubnetId)
var models = empty(fallback) || fallback == model ? [model] : [model, fallback]
var openAiUser = '5e0bd9bd-7b93-4f28-af87-19fc36ad61bd' // Cognitive Services OpenAI User: calls deployments, changes none

module account 'br/public:avm/res/cognitive-services/account:0.18.0' = {
  params: {
    name: 'ai-${token}'
    kind: 'AIServices'
    sku: 'S0'
    location: location
    tags: tags
    enableTelemetry: false
    customSubDomainName: 'ai-${token}'
    disableLocalAuth: true
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: {
      defaultAction: private ? 'Deny' : 'Allow'
      bypass: 'None'
    }
    privateEndpoints: private
      ? [
          {
            service: 'account'
            subnetResourceId: endpointSubnetId
            privateDnsZoneGroup: { privateDnsZoneGroupConfigs: [{ privateDnsZoneResourceId: zones.openAi }] }
          }
        ]
      : []
    deployments: [
      for one in models: {
        name: one
        model: union(
          { format: 'OpenAI', name: one },
          one == model && !empty(modelVersion) ? { version: modelVersion } : {}
        )
        sku: {
          name: 'GlobalStandard'
          capacity: capacity
        }
        // A model that changes by itself would change answers that nobody has judged again.
        versionUpgradeOption: 'NoAutoUpgrade'
      }
    ]
    roleAssignments: [
      {
        principalId: principalId
        principalType: 'ServicePrincipal'
        roleDefinitionIdOrName: openAiUser
      }
    ]
    diagnosticSettings: [
      {
        workspaceResourceId: workspaceId
        logCategoriesAndGroups: [{ category: 'Audit' }]
        metricCategories: [{ category: 'AllMetrics' }]
      }
    ]
  }
}

output baseUrl string = 'https://ai-${token}.openai.azure.com/openai/v1/'
