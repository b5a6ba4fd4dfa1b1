// Only when a bank or a model wants a secret: everything else here signs in by identity.
param location string
param tags object
param token string
@description('The identity of the apps.')
param principalId string
param workspaceId string
param endpointSubnetId string
param zones object
@secure()
param bankToken string
@secure()
param modelApiKey string

var private = !empty(endpointSubnetId)
var secretsUser = '4633458b-17de-408a-b874-0445c86b69e6' // Key Vault Secrets User: reads values, nothing else

module vault 'br/public:avm/res/key-vault/vault:0.14.0' = {
  params: {
    name: 'kv-${token}'
    location: location
    tags: tags
    enableTelemetry: false
    sku: 'standard'
    enableRbacAuthorization: true
    enableVaultForDeployment: false
    enableVaultForDiskEncryption: false
    enableVaultForTemplateDeployment: false
    enablePurgeProtection: true
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: {
      defaultAction: private ? 'Deny' : 'Allow'
      bypass: 'AzureServices'
    }
    privateEndpoints: private
      ? [
          {
            subnetResourceId: endpointSubnetId
            privateDnsZoneGroup: { privateDnsZoneGroupConfigs: [{ privateDnsZoneResourceId: zones.vault }] }
          }
        ]
      : []
    secrets: concat(
      empty(bankToken) ? [] : [{ name: 'bank-token', value: bankToken }],
      empty(modelApiKey) ? [] : [{ name: 'model-api-key', value: modelApiKey }]
    )
    roleAssignments: [
      {
        principalId: principalId
        principalType: 'ServicePrincipal'
        roleDefinitionIdOrName: secretsUser
      }
    ]
    diagnosticSettings: [
      {
        workspaceResourceId: workspaceId
        logCategoriesAndGroups: [{ category: 'AuditEvent' }]
        metricCategories: [{ category: 'AllMetrics' }]
      }
    ]
  }
}

output uri string = vault.outputs.uri
