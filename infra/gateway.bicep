// Only with apiManagement. The gateway turns strangers away before they cost anything; the apps check every token again.
// Operations of the first API are imported from docs/openapi.json by the postdeploy hook: the file is larger than Bicep
// loads. The second API passes what streams on as it is, chunk by chunk.
param location string
param tags object
param token string
param publisherEmail string
param workspaceId string
@description('Subnet through which the gateway reaches private endpoints; empty without a network.')
param subnetId string
param functionAppUrl string
param streamAppUrl string
param authTenantId string
param authClientId string

var policy = replace(
  replace(loadTextContent('gateway-policy.xml'), '@@TENANT@@', authTenantId),
  '@@CLIENT@@',
  authClientId
)
var policies = [{ name: 'policy', format: 'rawxml', value: policy }]

module service 'br/public:avm/res/api-management/service:0.15.0' = {
  params: {
    name: 'apim-${token}'
    location: location
    tags: tags
    enableTelemetry: false
    // The cheapest that reaches a virtual network; streams need any tier but Consumption.
    sku: empty(subnetId) ? 'BasicV2' : 'StandardV2'
    skuCapacity: 1
    availabilityZones: []
    publisherEmail: empty(publisherEmail) ? 'nobody@example.com' : publisherEmail
    publisherName: 'Countersign'
    enableDeveloperPortal: false
    managedIdentities: { systemAssigned: true }
    virtualNetworkType: empty(subnetId) ? 'None' : 'External'
    subnetResourceId: empty(subnetId) ? null : subnetId
    apis: [
      {
        name: 'countersign'
        displayName: 'Countersign'
        path: 'countersign'
        serviceUrl: functionAppUrl
        protocols: ['https']
        subscriptionRequired: false
        policies: policies
      }
      {
        name: 'countersign-live'
        displayName: 'Countersign, while it happens'
        path: 'live'
        serviceUrl: streamAppUrl
        protocols: ['https']
        subscriptionRequired: false
        policies: policies
        operations: [
          { name: 'post', displayName: 'Ask', method: 'POST', urlTemplate: '/api/v1/*' }
          { name: 'get', displayName: 'Follow', method: 'GET', urlTemplate: '/api/v1/*' }
        ]
      }
    ]
    // Bodies are never logged: that would buffer streams, and keep what people wrote.
    diagnosticSettings: [
      {
        workspaceResourceId: workspaceId
        logCategoriesAndGroups: [{ category: 'GatewayLogs' }]
        metricCategories: [{ category: 'AllMetrics' }]
      }
    ]
  }
}

output name string = service.outputs.name
