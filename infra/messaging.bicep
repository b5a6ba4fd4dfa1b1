// How things travel: lanes on Service Bus, decisions on an Event Grid topic, telemetry on Event Hubs.
param location string
param tags object
param token string
@description('The identity of the apps.')
param principalId string
param workspaceId string
param endpointSubnetId string
param zones object

var private = !empty(endpointSubnetId)
var lanes = loadJsonContent('lanes.json') // written from shared/contracts/lanes.py
var busSender = '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39' // Azure Service Bus Data Sender
var busReceiver = '4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0' // Azure Service Bus Data Receiver
var hubSender = '2b629674-e913-4c01-ae53-ef4638d8f975' // Azure Event Hubs Data Sender
var gridSender = 'd5a91429-5739-47e2-a06b-3470a27159e7' // EventGrid Data Sender

module serviceBus 'br/public:avm/res/service-bus/namespace:0.17.0' = {
  params: {
    name: 'sb-${token}'
    location: location
    tags: tags
    enableTelemetry: false
    // Sessions and duplicate detection need Standard; private endpoints need Premium, whose capacity is one unit here.
    skuObject: private ? { name: 'Premium', capacity: 1 } : { name: 'Standard' }
    zoneRedundant: private
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    privateEndpoints: private
      ? [
          {
            service: 'namespace'
            subnetResourceId: endpointSubnetId
            privateDnsZoneGroup: { privateDnsZoneGroupConfigs: [{ privateDnsZoneResourceId: zones.serviceBus }] }
          }
        ]
      : []
    queues: lanes
    roleAssignments: [
      {
        principalId: principalId
        principalType: 'ServicePrincipal'
        roleDefinitionIdOrName: busSender
      }
      {
        principalId: principalId
        principalType: 'ServicePrincipal'
        roleDefinitionIdOrName: busReceiver
      }
    ]
    diagnosticSettings: [
      {
        workspaceResourceId: workspaceId
        logCategoriesAndGroups: [{ category: 'OperationalLogs' }]
        metricCategories: [{ category: 'AllMetrics' }]
      }
    ]
  }
}

module eventHubs 'br/public:avm/res/event-hub/namespace:0.15.0' = {
  params: {
    name: 'evhns-${token}'
    location: location
    tags: tags
    enableTelemetry: false
    skuName: 'Standard'
    skuCapacity: 1
    isAutoInflateEnabled: true
    maximumThroughputUnits: 4
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    privateEndpoints: private
      ? [
          {
            service: 'namespace'
            subnetResourceId: endpointSubnetId
            privateDnsZoneGroup: { privateDnsZoneGroupConfigs: [{ privateDnsZoneResourceId: zones.serviceBus }] }
          }
        ]
      : []
    eventhubs: [
      {
        name: 'telemetry'
        partitionCount: 4
        messageRetentionInDays: 7
        consumergroups: [{ name: 'readers' }]
        roleAssignments: [
          {
            principalId: principalId
            principalType: 'ServicePrincipal'
            roleDefinitionIdOrName: hubSender
          }
        ]
      }
    ]
    diagnosticSettings: [
      {
        workspaceResourceId: workspaceId
        logCategoriesAndGroups: [{ category: 'OperationalLogs' }]
        metricCategories: [{ category: 'AllMetrics' }]
      }
    ]
  }
}

module topic 'br/public:avm/res/event-grid/topic:0.10.0' = {
  params: {
    name: 'evgt-${token}'
    location: location
    tags: tags
    enableTelemetry: false
    inputSchema: 'CloudEventSchemaV1_0'
    disableLocalAuth: true
    minimumTlsVersionAllowed: '1.2'
    managedIdentities: { systemAssigned: true }
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    privateEndpoints: private
      ? [
          {
            service: 'topic'
            subnetResourceId: endpointSubnetId
            privateDnsZoneGroup: { privateDnsZoneGroupConfigs: [{ privateDnsZoneResourceId: zones.eventGrid }] }
          }
        ]
      : []
    roleAssignments: [
      {
        principalId: principalId
        principalType: 'ServicePrincipal'
        roleDefinitionIdOrName: gridSender
      }
    ]
    diagnosticSettings: [
      {
        workspaceResourceId: workspaceId
        logCategoriesAndGroups: [{ category: 'DeliveryFailures' }, { category: 'PublishFailures' }]
        metricCategories: [{ category: 'AllMetrics' }]
      }
    ]
  }
}

output serviceBusId string = serviceBus.outputs.resourceId
output serviceBusNamespace string = '${serviceBus.outputs.name}.servicebus.windows.net'
output eventHubsNamespace string = '${eventHubs.outputs.name}.servicebus.windows.net'
output eventHubName string = 'telemetry'
output topicId string = topic.outputs.resourceId
output topicName string = topic.outputs.name
output topicEndpoint string = topic.outputs.endpoint
output topicPrincipalId string = topic.outputs.?systemAssignedMIPrincipalId ?? ''
