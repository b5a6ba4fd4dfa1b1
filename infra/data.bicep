// Where things are kept: Cosmos DB, the host's own storage, and the checkpoints of audit chains apart from both.
param location string
param tags object
param token string
@description('The identity of the apps.')
param principalId string
param workspaceId string
param endpointSubnetId string
param zones object
param cosmosMaxThroughput int
param checkpointRetentionDays int

var private = !empty(endpointSubnetId)
var accountName = 'cosmos-${token}'
var databaseName = 'countersign'
var containerName = 'documents'
var container = loadJsonContent('cosmos-container.json')
var containerShape = {
  name: containerName
  paths: [container.partitionKeyPath]
  version: 2
  defaultTtl: container.defaultTtl
  indexingPolicy: container.indexingPolicy
}
var cosmosContributor = '00000000-0000-0000-0000-000000000002' // Cosmos DB Built-in Data Contributor
var blobOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner: what the host's locks need

module cosmos 'br/public:avm/res/document-db/database-account:0.20.1' = {
  params: {
    name: accountName
    location: location
    tags: tags
    enableTelemetry: false
    disableLocalAuthentication: true
    disableKeyBasedMetadataWriteAccess: true
    capabilitiesToAdd: cosmosMaxThroughput == 0 ? ['EnableServerless'] : []
    // A read sees every commit that returned before it began, on whichever instance: shared/ports/document_store.py.
    defaultConsistencyLevel: 'Strong'
    zoneRedundant: false
    failoverLocations: [
      {
        locationName: location
        failoverPriority: 0
        isZoneRedundant: false
      }
    ]
    enableAutomaticFailover: false
    backupPolicyType: 'Continuous'
    backupPolicyContinuousTier: 'Continuous7Days'
    networkRestrictions: {
      publicNetworkAccess: private ? 'Disabled' : 'Enabled'
      networkAclBypass: 'None'
      ipRules: []
      virtualNetworkRules: []
    }
    privateEndpoints: private
      ? [
          {
            service: 'Sql'
            subnetResourceId: endpointSubnetId
            privateDnsZoneGroup: { privateDnsZoneGroupConfigs: [{ privateDnsZoneResourceId: zones.cosmos }] }
          }
        ]
      : []
    sqlDatabases: [
      {
        name: databaseName
        containers: [
          cosmosMaxThroughput == 0
            ? containerShape
            : union(containerShape, { autoscaleSettingsMaxThroughput: cosmosMaxThroughput })
        ]
      }
    ]
    // On the database, not on the container alone: clients read the database's metadata, too.
    sqlRoleAssignments: [
      {
        principalId: principalId
        roleDefinitionId: cosmosContributor
        scope: '${resourceId('Microsoft.DocumentDB/databaseAccounts', accountName)}/dbs/${databaseName}'
      }
    ]
    // Every data-plane request as a log line would cost more than the requests: control plane and hot keys only.
    diagnosticSettings: [
      {
        workspaceResourceId: workspaceId
        logAnalyticsDestinationType: 'Dedicated'
        logCategoriesAndGroups: [{ category: 'ControlPlaneRequests' }, { category: 'PartitionKeyStatistics' }]
        metricCategories: [{ category: 'Requests' }]
      }
    ]
  }
}

module hostStorage 'br/public:avm/res/storage/storage-account:0.33.0' = {
  params: {
    name: 'st${token}'
    location: location
    tags: tags
    enableTelemetry: false
    skuName: 'Standard_LRS'
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    // Not "Disabled": Event Grid writes its dead letters here as a trusted service.
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      defaultAction: private ? 'Deny' : 'Allow'
      bypass: 'AzureServices'
    }
    privateEndpoints: private
      ? [
          {
            service: 'blob'
            subnetResourceId: endpointSubnetId
            privateDnsZoneGroup: { privateDnsZoneGroupConfigs: [{ privateDnsZoneResourceId: zones.blob }] }
          }
        ]
      : []
    blobServices: {
      containers: [
        { name: 'package-functions' }
        { name: 'package-stream' }
        { name: 'event-dead-letters' }
      ]
    }
    roleAssignments: [
      {
        principalId: principalId
        principalType: 'ServicePrincipal'
        roleDefinitionIdOrName: blobOwner
      }
    ]
    diagnosticSettings: [{ workspaceResourceId: workspaceId, metricCategories: [{ category: 'Transaction' }] }]
  }
}

// May read and add, never overwrite or delete: what the checkpoints need and no built-in role gives.
resource checkpointWriter 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'checkpoint-writer')
  properties: {
    roleName: 'Countersign checkpoint writer ${token}'
    description: 'Reads and adds blobs; cannot overwrite or delete any.'
    type: 'CustomRole'
    assignableScopes: [resourceGroup().id]
    permissions: [
      {
        actions: ['Microsoft.Storage/storageAccounts/blobServices/containers/read']
        notActions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
        ]
        notDataActions: []
      }
    ]
  }
}

module checkpoints 'br/public:avm/res/storage/storage-account:0.33.0' = {
  params: {
    name: 'stckpt${token}'
    location: location
    tags: tags
    enableTelemetry: false
    skuName: 'Standard_ZRS'
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: {
      defaultAction: private ? 'Deny' : 'Allow'
      bypass: 'None'
    }
    privateEndpoints: private
      ? [
          {
            service: 'blob'
            subnetResourceId: endpointSubnetId
            privateDnsZoneGroup: { privateDnsZoneGroupConfigs: [{ privateDnsZoneResourceId: zones.blob }] }
          }
        ]
      : []
    blobServices: {
      containers: [
        {
          name: 'checkpoints'
          // Unlocked until somebody locks it for good: docs/operations.md, "Lock the checkpoints".
          immutabilityPolicy: {
            immutabilityPeriodSinceCreationInDays: checkpointRetentionDays
            allowProtectedAppendWrites: false
          }
          roleAssignments: [
            {
              principalId: principalId
              principalType: 'ServicePrincipal'
              roleDefinitionIdOrName: checkpointWriter.id
            }
          ]
        }
      ]
      diagnosticSettings: [
        {
          workspaceResourceId: workspaceId
          logCategoriesAndGroups: [{ category: 'StorageWrite' }, { category: 'StorageDelete' }]
        }
      ]
    }
  }
}

output cosmosEndpoint string = cosmos.outputs.endpoint
output cosmosDatabase string = databaseName
output cosmosContainer string = containerName
output hostStorageName string = hostStorage.outputs.name
output hostStorageId string = hostStorage.outputs.resourceId
output hostBlobEndpoint string = hostStorage.outputs.primaryBlobEndpoint
output deadLetterContainer string = 'event-dead-letters'
output checkpointStorageName string = checkpoints.outputs.name
output checkpointsUrl string = '${checkpoints.outputs.primaryBlobEndpoint}checkpoints'
